// Parts of the panel in a notebook. text.js and view.js stand before this, all inside a function of (model, el); the kernel decides, this shows.

const root = element("div", { class: "llgbm-act" }), tip = element("div", { class: "tip", hidden: true, role: "presentation" });
let page = { byId: new Map(), directions: [], importance: null };       // what view.js looks up

// -- notes: edits live here until the kernel has written them, each with the note that it began from and the adapter that it is about
const EMPTY = { text: "", starred: false, lastModified: null };
const mine = new Map();                                   // adapter and key → {adapter, key, text, starred, base, number, timer, sent, waiting}
const AGAIN = 5000;                                       // milliseconds until what could not be written is sent again
let edits = 0;
const adapter = () => model.get("data").adapter ?? "", about = key => `${adapter()}\u0000${key}`;
const notes = {
  get: key => mine.get(about(key)) ?? model.get("notes")[key] ?? EMPTY,
  edit(key, change) {
    const at = about(key), before = mine.get(at), { text, starred } = notes.get(key);
    clearTimeout(before?.timer);
    mine.set(at, { adapter: adapter(), key, text, starred, ...change, base: before?.base ?? notes.get(key), sent: before?.sent, waiting: before?.waiting, number: ++edits, timer: setTimeout(() => sendNote(at), "text" in change ? 400 : 0) });
    paintNotes(root, [key]);
  },
};
function sendNote(at, last = false) {                     // one version of a note after the other, or a kernel that is busy takes them for those of several people
  const note = mine.get(at), { adapter, key, text, starred, base, number } = note;
  clearTimeout(note.timer);
  note.timer = null;
  if (note.waiting && !last) return;
  [note.sent, note.waiting] = [text, true];
  model.send({ note: key, adapter, text, starred, base, number });
}
function noteHeard({ heard, adapter, number, note }) {
  const at = `${adapter}\u0000${heard}`, now = mine.get(at);
  if (!now) return;
  now.waiting = false;
  if (!note) { now.timer ??= setTimeout(() => sendNote(at), AGAIN); return; }
  if (now.number === number) { mine.delete(at); paintNotes(root, [heard]); return; }
  if (note.text === now.sent) now.base = note;            // else what was merged meanwhile isn't in the field
  if (!now.timer) sendNote(at);                           // edited again since
}
const sendAll = last => { for (const [at, note] of mine) if (note.timer || note.sent !== note.text) sendNote(at, last); };

// -- ways to elsewhere
const go = d => model.send({ go: d.id });
const step = by => model.send({ step: by });

function modulesOf(rows) { return rows.map(([module, layer, proj, kind, size], number) => ({ module, layer, proj, kind, number, directions: Array(size) })); }
function known(rows, modules) { return rows.map(([module, id, index, strength, share, kl, rank]) => ({ module: modules[module], id, index, strength, share, kl, rank })); }

// -- the list, and the map above it
function listPart() {
  const list = element("div", { class: "list", role: "listbox", tabindex: 0, "aria-label": "Directions" }), rows = element("div", { class: "rows", role: "presentation" });
  const own = `llgbm-${Math.random().toString(36).slice(2)}-`, map = element("div", { class: "map", role: "group", "aria-label": "Layers and modules" }), count = element("p", { class: "soft count", role: "status" });
  const HEIGHT = 50;
  let all = [], modules = [], buttons = [];
  const order = () => model.get("now").order ?? [], heat = () => model.get("now").heat ?? [], chosen = () => model.get("now").chosen;
  const isStarred = d => sides(d).some(k => notes.get(k).starred);

  function read() {
    const { modules: ms = [], directions = [] } = model.get("data");
    modules = modulesOf(ms);
    all = known(directions, modules).map((d, i) => ({ ...d, positive: directions[i][7], negative: directions[i][8] }));
    page = { byId: new Map(all.map(d => [d.id, d])), directions: all, importance: null };
    buildMap();
  }
  function rowOf(n, i) {
    const d = all[n], bar = element("i"), text = sides(d).map(k => notes.get(k).text).find(t => t.trim());
    bar.style.width = `${heat()[n] ?? 0}%`;
    const tokens = SIGNS.flatMap(s => d[s].map(t => element("span", { class: `token ${s}`, dir: "auto", textContent: chip(t) })));
    const row = element("div", { class: "row", role: "option", id: own + n, "aria-selected": String(d.id === chosen()), "aria-posinset": i + 1, "aria-setsize": order().length, onclick: () => go(d) },
      element("div", { class: "line" }, element("b", { textContent: shortName(d) }), isStarred(d) && element("span", { class: "starred", role: "img", "aria-label": "starred", textContent: "★" }), element("span", { class: "bar", "aria-hidden": "true" }, bar)),
      element("div", { class: "line preview" }, ...(text ? [element("span", { class: "noted soft", dir: "auto", textContent: visible(text) })] : tokens.length ? tokens : [element("span", { class: "soft", textContent: `strength ${number(d.strength)}` })])));
    row.style.top = `${i * HEIGHT}px`;
    return row;
  }
  function paint() {
    const o = order(), from = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 4), to = Math.min(o.length, Math.ceil((list.scrollTop + (list.clientHeight || 600)) / HEIGHT) + 4);
    rows.style.height = `${o.length * HEIGHT}px`;
    rows.replaceChildren(...o.slice(from, to).filter(n => all[n]).map((n, i) => rowOf(n, from + i)));
    const here = o.findIndex(n => all[n]?.id === chosen());
    if (here >= from && here < to) list.setAttribute("aria-activedescendant", own + o[here]); else list.removeAttribute("aria-activedescendant");
    count.textContent = o.length === all.length ? `${whole(all.length)} directions` : `${whole(o.length)} of ${whole(all.length)} directions`;
  }
  function reveal() {
    const i = order().findIndex(n => all[n]?.id === chosen());
    if (i < 0 || !list.clientHeight) return;
    if (i * HEIGHT < list.scrollTop) list.scrollTop = i * HEIGHT;
    else if ((i + 1) * HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = (i + 1) * HEIGHT - list.clientHeight;
  }
  function buildMap() {
    const projs = [...new Set(modules.filter(m => m.layer !== null).map(m => m.proj))], layers = [...new Set(modules.map(m => m.layer))].filter(l => l !== null).sort((a, b) => a - b);
    const cell = new Map(modules.map(m => [`${m.layer} ${m.proj}`, m]));
    buttons = [];
    map.hidden = projs.length === 0;
    map.style.setProperty("--layers", layers.length);
    map.replaceChildren(...projs.map(p => element("div", { class: "maprow" }, element("span", { class: "soft", textContent: p.replace(/_proj$/, ""), title: p }), ...layers.map(l => cell.has(`${l} ${p}`) ? mapButton(cell.get(`${l} ${p}`)) : element("span")))));
  }
  function mapButton(m) {
    const b = element("button", { "aria-label": layerName(m), tabindex: -1, onclick: () => model.send({ module: m.module }) });
    buttons.push([b, m]);
    return tipped(b, layerName(m));
  }
  function paintMap() {
    const most = new Map(), h = heat(), here = page.byId.get(chosen())?.module;
    all.forEach((d, n) => most.set(d.module, Math.max(most.get(d.module) ?? 0, h[n] ?? 0)));
    for (const [b, m] of buttons) {
      b.style.setProperty("--heat", .06 + .0094 * (most.get(m) ?? 0));
      if (m === here) b.setAttribute("aria-current", "true"); else b.removeAttribute("aria-current");
    }
  }
  list.addEventListener("scroll", paint, { passive: true });
  list.addEventListener("keydown", e => {
    const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[e.key], o = order();
    if (by === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault(); e.stopPropagation();
    const i = o.findIndex(n => all[n].id === chosen()), to = all[o[Math.max(0, Math.min(o.length - 1, i + by))]];
    if (to) go(to);
  });
  list.append(rows);
  root.append(map, count, list);
  new ResizeObserver(() => { reveal(); paint(); }).observe(list);
  const repaint = () => { paint(); paintMap(); };
  let last = null, before = "";
  function now() {
    const sorted = order().join();
    if (last !== chosen()) reveal(); else if (before !== sorted) list.scrollTop = 0;       // another order is read from its top
    [last, before] = [chosen(), sorted];
    repaint();
  }
  return { data() { read(); repaint(); }, now, notes: paint };
}

// -- one direction: its facts, or all else that is known of it
function directionOf(data) {
  const modules = modulesOf(data.modules), [d, ...near] = known(data.directions, modules);
  page = { byId: new Map(near.map(o => [o.id, o])), directions: Array(data.of), importance: data.base_kl ? { base_kl: data.base_kl } : null };
  return d;
}
function headPart() {
  return { data() {
    const data = model.get("data");
    if (!data.directions) return root.replaceChildren(tip);
    const d = directionOf(data), seen = data.seen, title = element("h2", { textContent: longName(d) }, element("small", { class: "soft path", textContent: d.module.module }));
    const told = facts(d, seen).filter((f, i) => seen.count || /strength/.test(f.firstChild.textContent));
    const steps = element("div", { class: "steps" }, element("button", { onclick: () => step(-1), "aria-label": "Previous direction", title: "Previous in the list", textContent: "‹" }), element("button", { onclick: () => step(1), "aria-label": "Next direction", title: "Next in the list", textContent: "›" }));
    const at = [...root.querySelectorAll(".steps button")].indexOf(document.activeElement);
    root.replaceChildren(element("header", { class: "headline" }, title, steps), element("dl", { class: "facts" }, ...told), tip);
    steps.children[at]?.focus({ preventScroll: true });     // who uses keys stays where they were
  } };
}
function bodyPart() {
  return { data() {
    const data = model.get("data");
    if (!data.directions) return root.replaceChildren(tip);
    const d = directionOf(data), seen = data.seen, both = element("div", { class: "sides" }, ...SIGNS.map(s => sideSection(d, seen, s, data.scale)));
    if (!seen.count) for (const p of both.querySelectorAll("section > header .soft, section > p.soft")) p.textContent = p.parentNode.tagName === "HEADER" ? "" : "No examples yet: collect them below.";
    root.replaceChildren(both, element("div", { class: `overview${seen.count ? "" : " two"}` }, ...(seen.count ? [histogramCard(seen)] : []), effectsCard(seen), cosinesCard(seen)), tip);
    paintNotes(root);
  }, notes() { paintNotes(root); } };
}

// -- a text that was just typed
function livePart() {
  return { data() {
    const { tokens = [], values = [], special = [], scale = 1, at = null } = model.get("data");
    const p = context({ tokens, values, target: at ?? -1 }, scale), seen = [...p.querySelectorAll("span, mark")];
    p.classList.add("typed");
    seen.forEach((s, i) => { if (special[i]) s.classList.add("special"); });
    p.addEventListener("click", e => { const i = seen.indexOf(e.target); if (i >= 0 && getSelection().isCollapsed) model.send({ token: i === at ? null : i }); });
    root.replaceChildren(...(tokens.length ? [p] : []), tip);
  } };
}

function showTip(e) {
  const own = tips.get(e.target), around = e.target.parentNode && tips.get(e.target.parentNode);
  const text = typeof own === "string" ? own : typeof around === "function" ? around(e.target) : typeof around === "string" ? around : null;
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const r = e.target.getBoundingClientRect(), o = root.getBoundingClientRect(), t = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(0, Math.min(o.width - t.width, r.left - o.left + r.width / 2 - t.width / 2))}px`;
  tip.style.top = `${r.top - o.top - t.height - 4}px`;
}

function start() {
  const part = { list: listPart, head: headPart, body: bodyPart, live: livePart }[model.get("part")]();
  root.classList.add(`part-${model.get("part")}`);
  root.append(tip);
  root.addEventListener("pointerover", showTip);
  root.addEventListener("pointerleave", () => { tip.hidden = true; });
  root.addEventListener("click", e => {
    const a = e.target.closest?.('a[href^="#"]');
    if (!a) return;
    e.preventDefault(); e.stopPropagation();
    model.send({ go: decodeURIComponent(a.getAttribute("href").slice(1)) });
  });
  root.addEventListener("keydown", e => { if (e.target.tagName === "TEXTAREA") e.stopPropagation(); });      // keys of the notebook
  root.addEventListener("focusout", () => sendAll(false));
  const listen = { "change:data": () => part.data(), "change:now": () => part.now?.(), "change:notes": () => part.notes?.(), "msg:custom": noteHeard };
  for (const [what, call] of Object.entries(listen)) model.on(what, call);
  el.style.overflow = "visible";                          // tips reach beyond
  el.append(root);
  part.data(); part.now?.();
  return () => { sendAll(true); for (const [what, call] of Object.entries(listen)) model.off(what, call); };
}
