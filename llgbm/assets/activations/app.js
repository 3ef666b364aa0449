// The page: a list of directions, the one that is shown, and the keys.

const ROW = 50;                                           // height of a row of the list, as in the style sheet
const state = { order: [], hits: new Map(), current: null, beside: false, showing: 0, query: "" };
let page, notes;

// -- what went wrong
const problems = new Map();                               // about → [text, action, call]; what is no problem is about "done"
function tell(text, about, action, call) {
  if (text) problems.set(about, [text, action, call]); else if (!problems.delete(about)) return;
  const button = (label, act) => element("button", { textContent: label, onclick: act });
  $("problem").hidden = problems.size === 0;
  $("problem").replaceChildren(...[...problems].map(([k, [said, action, call]]) => element("p", { class: k === "done" ? "done" : null }, element("span", { textContent: said }),
    action && button(action, () => { call(); tell("", k); }), button("Dismiss", () => tell("", k)))));
}

// -- the list
const SORTS = {
  importance: ["importance", (a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity) || b.strength - a.strength || a.at - b.at],
  strength: ["strength", (a, b) => b.strength - a.strength || a.at - b.at],
  layer: ["layer", (a, b) => a.at - b.at],
};
const starredOnly = () => $("starred").getAttribute("aria-pressed") === "true";
const isStarred = d => sides(d).some(k => notes.get(k).starred);

function arrange() {                                      // filter and sort
  const [, by] = SORTS[$("sort").value], layer = $("layer").value, proj = $("proj").value, stars = starredOnly(), find = state.query ? finder(state.query) : null;
  state.hits = new Map();
  let chosen = page.directions.filter(d => (layer === "" || String(d.module.layer) === layer) && (proj === "" || d.module.proj === proj) && (!stars || isStarred(d)));
  if (find) chosen = chosen.filter(d => { const hit = find(d); if (hit) state.hits.set(d, hit); return hit; });
  const rank = d => state.hits.get(d)?.[0] ?? 0;
  state.order = chosen.sort((a, b) => rank(a) - rank(b) || by(a, b));
  state.place = new Map(state.order.map((d, i) => [d, i]));
  $("count").textContent = `${whole(chosen.length)} of ${whole(page.directions.length)} directions`;
  paintList();
  paintMap();
}

function preview(d) {
  const hit = state.hits.get(d), note = sides(d).map(k => notes.get(k).text).find(t => t.trim());
  if (hit) return [element("span", { class: hit[2] ? `token ${hit[2]}` : "soft", dir: "auto", textContent: hit[1] })];
  if (note) return [element("span", { class: "noted", dir: "auto", textContent: visible(note.trim().slice(0, 120)) })];
  return SIGNS.flatMap(s => d[s].slice(0, 3).map(t => element("span", { class: `token ${s}`, dir: "auto", textContent: chip(page.tokens[t]) })));
}

function rowOf(d, i) {
  const bar = element("i");
  bar.style.width = `${100 * Math.sqrt(weight(d) / page.heaviest)}%`;
  const row = element("div", { class: "row", role: "option", id: `row-${d.at}`, "aria-selected": String(d === state.current), "aria-posinset": i + 1, "aria-setsize": state.order.length, onclick: () => { go(d, { push: true }); browse(false); } },
    element("div", { class: "line" }, element("b", { textContent: shortName(d) }), isStarred(d) ? element("span", { class: "starred", role: "img", "aria-label": "starred", textContent: "★" }) : null, element("span", { class: "bar", "aria-hidden": "true" }, bar)),
    element("div", { class: "line preview" }, ...preview(d)));
  row.style.top = `${i * ROW}px`;
  return row;
}

function paintList() {
  const list = $("list"), from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4), to = Math.min(state.order.length, Math.ceil((list.scrollTop + (list.clientHeight || 800)) / ROW) + 4);
  $("rows").style.height = `${state.order.length * ROW}px`;
  $("rows").replaceChildren(...state.order.slice(from, to).map((d, i) => rowOf(d, from + i)));
  const here = state.current && $(`row-${state.current.at}`);
  if (here) list.setAttribute("aria-activedescendant", here.id); else list.removeAttribute("aria-activedescendant");
}

function reveal() {                                       // bring the current row into the list's window
  const list = $("list"), i = state.place.get(state.current);
  if (i === undefined) return;
  if (i * ROW < list.scrollTop) list.scrollTop = i * ROW;
  else if ((i + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (i + 1) * ROW - list.clientHeight;
}

// -- the map of layers and modules
const weight = d => page.ranked ? Math.max(0, d.share ?? 0) : d.strength;
const heavy = m => Math.max(0, ...m.directions.map(weight));

function buildMap() {
  const projs = [...new Set(page.modules.filter(m => m.layer !== null).map(m => m.proj))], layers = [...new Set(page.modules.map(m => m.layer))].filter(l => l !== null).sort((a, b) => a - b);
  const cell = new Map(page.modules.map(m => [`${m.layer} ${m.proj}`, m]));
  $("map").hidden = projs.length === 0;
  $("map").style.setProperty("--layers", layers.length);
  $("map").replaceChildren(...projs.map(p => element("div", { role: "row", class: "maprow" }, element("span", { role: "rowheader", class: "soft", textContent: p.replace(/_proj$/, ""), title: p }),
    ...layers.map(l => { const m = cell.get(`${l} ${p}`); return element("div", { role: "gridcell" }, m ? mapButton(m) : null); }))));
  $("map").addEventListener("keydown", mapKeys);
}

function mapButton(m) {
  const b = element("button", { tabindex: -1, "data-module": m.number, "aria-label": layerName(m), onclick: () => goModule(m) });
  b.style.setProperty("--heat", page.heaviest ? .06 + .94 * Math.sqrt(heavy(m) / page.heaviest) : .06);
  return tipped(b, `${layerName(m)}: ${page.ranked ? `share up to ${percent(heavy(m))}` : `strength up to ${number(heavy(m))}`}`);
}

function goModule(m) {
  const first = [...m.directions].sort(SORTS[$("sort").value][1]);
  go(first.find(d => state.place.has(d)) ?? first[0], { push: true });
  browse(false);
}

function mapKeys(e) {
  const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[e.key];
  if (!move || !e.target.dataset.module) return;
  e.preventDefault(); e.stopPropagation();
  const rows = [...$("map").children].map(r => [...r.children].slice(1)), y = rows.findIndex(r => r.includes(e.target.parentNode)), x = rows[y].indexOf(e.target.parentNode);
  for (let i = x + move[0], j = y + move[1]; rows[j]?.[i]; i += move[0], j += move[1]) { const b = rows[j][i].firstChild; if (b) { b.focus(); return; } }
}

function paintMap() {
  const found = new Set(state.order.map(d => d.module.number)), noted = new Set(page.directions.filter(isStarred).map(d => d.module.number));
  for (const b of $("map").querySelectorAll("button")) {
    const m = +b.dataset.module;
    b.classList.toggle("out", !found.has(m)); b.classList.toggle("starry", noted.has(m));
  }
}
function markMap() {                                      // where we are
  const old = $("map").querySelector("[aria-current]"), now = $("map").querySelector(`[data-module="${state.current.module.number}"]`);
  if (old) { old.removeAttribute("aria-current"); old.tabIndex = -1; }
  if (now) { now.setAttribute("aria-current", "true"); now.tabIndex = 0; }
}

// -- the direction that is shown
const buttons = () => [...$("main").querySelectorAll(".steps button")];

async function show() {
  const d = state.current, mine = ++state.showing;
  markMap(); reveal(); paintList();
  let parts;
  try { parts = state.beside ? await besideView(d) : oneView(d, await detail(d)); }
  catch (e) { parts = [headline(d, longName(d), state.beside), element("p", { class: "card broken", role: "alert", textContent: `The data of ${d.module.module} can't be read: ${e.message}. The file seems to be damaged; make the page anew.` })]; }
  if (mine !== state.showing) return;
  const inside = $("main").contains(document.activeElement), button = buttons().indexOf(document.activeElement);
  $("main").replaceChildren(...parts);
  if (inside) (buttons()[button] ?? $("main")).focus({ preventScroll: true });        // who uses keys stays where they were
  $("main").classList.toggle("wide", state.beside);
  paintNotes($("main"));
  paintFound($("main"), state.query);
  $("spoken").textContent = longName(d);
  document.title = `${longName(d)} – ${page.title}`;
  requestAnimationFrame(() => performance.mark("shown", { detail: d.id }));
  setTimeout(() => { for (const o of [near(1), near(-1)]) if (o && mine === state.showing) readBlock(o.module.number).catch(() => {}); }, 60);
}

function go(d, { beside = state.beside, push = false } = {}) {
  if (d === state.current && beside === state.beside) return;
  Object.assign(state, { current: d, beside });
  history[push ? "pushState" : "replaceState"](null, "", link(d) + (beside ? "&beside" : ""));
  window.scrollTo(0, 0);
  return show();
}
function near(by) {
  const i = state.place.get(state.current);
  return state.order[i === undefined ? 0 : i + by];
}
function step(by) { const d = near(by); if (d) go(d); }
function stepLayer(by) {
  const m = state.current.module, all = page.modules.filter(o => o.proj === m.proj && o.layer !== null && o.kind === m.kind).sort((a, b) => a.layer - b.layer), to = all[all.indexOf(m) + by];
  if (to) go(to.directions.find(d => d.index === state.current.index) ?? to.directions[0]);
}
function fromAddress() {
  const [id, ...flags] = location.hash.slice(1).split("&");
  let d = null;
  try { d = page.byId.get(decodeURIComponent(id)); } catch { /* not an address of ours */ }
  if (!d && state.current) return;
  state.current = d ?? state.order[0] ?? page.directions[0];
  state.beside = flags.includes("beside");
  window.scrollTo(0, 0);
  return show();
}

// -- searching
let typing = 0;
function search(text) {
  clearTimeout(typing);
  state.query = text.trim();
  arrange();
  $("list").scrollTop = 0;
  paintList();
  paintFound($("main"), state.query);
  if (!state.query) return;
  let painted = performance.now();
  readAll(share => {
    if (share < 1 && performance.now() - painted < 250) return;
    painted = performance.now();
    if (state.query) { arrange(); if (share < 1) $("count").textContent += `, reading contexts ${percent(share)}`; }
  });
}

// -- notes
function notesChanged(keys) {
  paintNotes($("main"), keys);
  if (starredOnly() || state.query) arrange(); else { paintList(); paintMap(); }
}
function notesSaid(error, unsaved) {
  const kept = [...notes.keys()].filter(k => { const n = notes.get(k); return n.text || n.starred; }).length;
  tell(error ? `${unsaved ? "Not saved" : "Notes can't be looked up"}: ${error.message}.${notes.backend.delay && unsaved ? " What you wrote is kept in this browser, and saving is tried again." : ""}` : "", "saving");
  $("saved").textContent = unsaved ? `${unsaved} not saved` : kept ? `${kept === 1 ? "1 note" : `${whole(kept)} notes`} ${notes.backend.place}` : `notes are kept ${notes.backend.place}`;
}
function exportNotes() {
  const url = URL.createObjectURL(new Blob([notes.export()], { type: "application/json" }));
  element("a", { href: url, download: "interpretations.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
async function importNotes(file) {
  if (!file) return;
  try {
    const { found, taken, replaced } = notes.import(await file.text()), mine = new Set(page.directions.flatMap(sides)), others = found.filter(k => !mine.has(k)).length;
    const text = [`${found.length === 1 ? "1 note" : `${whole(found.length)} notes`} in ${file.name}: ${whole(taken)} taken${replaced.size ? `, of which ${whole(replaced.size)} replaced older ones of yours` : ""}`,
      taken < found.length && `${whole(found.length - taken)} left out, as yours are the same or newer`, others && `${whole(others)} on directions that this page doesn't show`].filter(Boolean).join("; ");
    tell("", "import");
    tell(`${text}.`, "done", replaced.size ? "Put mine back" : "", () => { for (const [k, n] of replaced) notes.edit(k, n); });
  } catch (e) { tell("", "done"); tell(`${file.name} can't be imported: ${e.message}. Your notes are as they were.`, "import"); }
}

// -- the rest
const THEMES = { auto: "◐", light: "☀", dark: "☾" };
function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = name;
  $("theme").textContent = THEMES[name];
  $("theme").title = `Colours: ${name === "auto" ? "as the system" : name}`;
  $("theme").setAttribute("aria-label", $("theme").title);
  try { localStorage.setItem("llgbm-theme", name); } catch { /* then it lasts for this visit */ }
}
function browse(open) { document.body.classList.toggle("browsing", open); $("browse").setAttribute("aria-expanded", String(open)); if (open) { reveal(); paintList(); } }

function star(side) { const k = sides(state.current)[side]; notes.edit(k, { starred: !notes.get(k).starred }); }
function write(side) { document.querySelector(`[data-note="${CSS.escape(sides(state.current)[side])}"]`)?.focus(); }

const KEYS = { j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1), l: () => stepLayer(1), h: () => stepLayer(-1), c: () => go(state.current, { beside: !state.beside, push: true }),
  s: () => star(0), S: () => star(1), n: () => write(0), N: () => write(1), "/": () => { browse(true); $("query").select(); }, "?": () => $("keys").showModal() };
const IN_LIST = { ArrowDown: () => step(1), ArrowUp: () => step(-1), PageDown: () => jump(10), PageUp: () => jump(-10), Home: () => jump(-Infinity), End: () => jump(Infinity), Enter: () => { browse(false); $("main").focus(); } };
function jump(by) { const i = Math.min(state.order.length - 1, Math.max(0, (state.place.get(state.current) ?? 0) + by)); if (state.order[i]) go(state.order[i]); }

function pressed(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || $("keys").open) return;
  if (e.key === "Escape") {
    if (e.target === $("query") && $("query").value) { $("query").value = ""; search(""); } else { e.target.blur?.(); browse(false); }
    return;
  }
  if (e.target === $("query") && e.key === "Enter" && state.order.length) { go(state.order[0], { push: true }); browse(false); $("query").blur(); return; }
  if (e.target.closest("input, textarea, select")) return;
  if (e.target.closest(".columns") && e.key.startsWith("Arrow")) return;      // they scroll
  const act = (e.target === $("list") && IN_LIST[e.key]) || KEYS[e.key];
  if (act) { e.preventDefault(); act(); }
}

function hover(e) {
  const own = tips.get(e.target), around = e.target.parentNode && tips.get(e.target.parentNode);
  const text = typeof own === "string" ? own : typeof around === "function" ? around(e.target) : typeof around === "string" ? around : null, tip = $("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const r = e.target.getBoundingClientRect(), t = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(innerWidth - t.width - 4, r.left + r.width / 2 - t.width / 2))}px`;
  tip.style.top = `${r.top > t.height + 8 ? r.top - t.height - 4 : r.bottom + 4}px`;
}

function listen() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("pointerover", hover);
  document.addEventListener("scroll", () => { $("tip").hidden = true; }, { capture: true, passive: true });
  $("list").addEventListener("scroll", paintList, { passive: true });
  addEventListener("resize", paintList);
  addEventListener("beforeunload", e => { if (notes.atRisk()) e.preventDefault(); });
  new ResizeObserver(() => document.documentElement.style.setProperty("--told", `${$("problem").offsetHeight}px`)).observe($("problem"));
  addEventListener("popstate", fromAddress);
  $("query").addEventListener("input", e => { clearTimeout(typing); typing = setTimeout(search, 90, e.target.value); });
  for (const id of ["sort", "layer", "proj"]) $(id).addEventListener("change", () => { arrange(); reveal(); paintList(); });
  $("starred").addEventListener("click", () => { $("starred").setAttribute("aria-pressed", String(!starredOnly())); arrange(); });
  $("export").addEventListener("click", exportNotes);
  $("import").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", e => { importNotes(e.target.files[0]); e.target.value = ""; });
  $("theme").addEventListener("click", () => { const all = Object.keys(THEMES), now = document.documentElement.dataset.theme ?? "auto"; theme(all[(all.indexOf(now) + 1) % all.length]); });
  $("help").addEventListener("click", () => $("keys").showModal());
  $("skip").addEventListener("click", e => { e.preventDefault(); $("main").focus(); });
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("browse").addEventListener("click", () => browse(!document.body.classList.contains("browsing")));
}

function options(select, pairs) { select.replaceChildren(...pairs.map(([value, text]) => element("option", { value, textContent: text }))); }

async function open() {
  let kept = null;
  try { kept = localStorage.getItem("llgbm-theme"); } catch { /* none */ }
  theme(kept in THEMES ? kept : "auto");
  if (!window.DecompressionStream) throw new Error("this browser is too old for this page: it can't unpack gzip (Chrome 80, Firefox 113 and Safari 16.4 can)");
  page = readIndex(await unpack("index"));
  page.ranked = page.directions.some(d => d.share !== null);
  page.heaviest = Math.max(0, ...page.modules.map(heavy));
  const { adapter, base, dataset } = page;
  $("name").textContent = page.title = visible(adapter.name);
  $("about").textContent = `rank ${adapter.rank} on ${visible(base.replace(/^([/\\]|\w:).*[/\\](?=.)/, ""))} · ${visible(dataset.name)}: ${whole(dataset.texts)} texts, ${whole(dataset.tokens)} tokens · ${page.kind === "rows" ? "rows of A" : "canonical directions"}`;
  $("about").title = `${whole(dataset.duplicates)} duplicate contexts left out · the ${page.settings.top_k} strongest tokens of each side, with ${page.settings.context_window} tokens around them`;
  options($("sort"), Object.entries(SORTS).filter(([k]) => k !== "importance" || page.ranked).map(([k, [text]]) => [k, text]));
  options($("layer"), [["", "all"], ...[...new Set(page.modules.map(m => m.layer))].filter(l => l !== null).sort((a, b) => a - b).map(l => [l, l])]);
  options($("proj"), [["", "all"], ...[...new Set(page.modules.map(m => m.proj))].map(p => [p, p])]);
  const mark = `${adapter.fingerprint}:${page.kind}`, served = document.querySelector('meta[name="llgbm-notes"]').content === "server";
  notes = new Notes(served ? new AtServer() : new InBrowser(mark), mark, notesChanged, notesSaid);
  buildMap();
  listen();
  if (!page.directions.length) { $("main").replaceChildren(element("p", { class: "soft wait", textContent: "There are no directions in these data." })); arrange(); return; }
  arrange();
  await fromAddress();
  await notes.open();
  performance.mark("opened");
}

open().catch(e => { $("main").replaceChildren(element("p", { class: "card broken", role: "alert", textContent: `This page can’t be opened: ${e.message}` })); });
