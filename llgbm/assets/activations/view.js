// What is seen of a direction.

const SIGNS = ["positive", "negative"];
const sides = d => SIGNS.map(s => `${d.id}_${s}`);
const layerName = m => m.layer === null ? m.module : `Layer ${m.layer} · ${m.proj}`;
const placeName = m => m.layer === null ? m.module : `${m.layer} ${m.proj}`;
const several = d => d.module.directions.length > 1;
const longName = d => layerName(d.module) + (several(d) ? ` · d${d.index}` : "");
const shortName = d => placeName(d.module) + (several(d) ? ` d${d.index}` : "");
const link = d => `#${encodeURIComponent(d.id)}`;

const tips = new WeakMap();                               // element → text, or a container → (element → text)
const tipped = (e, text) => { tips.set(e, text); return e; };

function context(example, scale) {
  const p = element("p", { class: "context", dir: "auto" }), places = new Map();
  example.tokens.forEach((token, i) => {
    const v = example.values[i], strength = Math.min(10, Math.round(10 * Math.sqrt(Math.abs(v) / scale)));
    const text = token.length > 1 && token.startsWith(" ") ? token.slice(1) : token;          // a space between words belongs to neither
    if (i > 0 && text !== token) p.append(" ");
    else if (i > 0 && /[>\n]$/.test(example.tokens[i - 1])) p.append(element("wbr"));         // <|im_start|>assistant has no space to break at
    const seen = element(i === example.target ? "mark" : "span", { class: strength ? (v > 0 ? "p" : "n") + strength : null, textContent: visible(text) });
    places.set(seen, i);
    p.append(seen);
  });
  return tipped(p, c => places.has(c) ? `${chip(example.tokens[places.get(c)])}  ${signed(example.values[places.get(c)])}` : null);
}

function exampleItem(example, scale) {
  const value = tipped(element("span", { class: "value", textContent: signed(example.value) }), `text ${example.text}, token ${example.position}`);
  return element("li", {}, value, context(example, scale));
}

function starButton(key, what) {
  return element("button", { class: "star", "data-star": key, "aria-label": `Star: ${what}`, "aria-pressed": "false", onclick: () => notes.edit(key, { starred: !notes.get(key).starred }) });
}
function noteField(key, what) {
  return element("textarea", { rows: 1, "data-note": key, "aria-label": `Note: ${what}`, placeholder: "What fires this side?", maxlength: 20000, dir: "auto", spellcheck: false,
    oninput: e => { grow(e.target); notes.edit(key, { text: e.target.value }); }, onfocus: e => grow(e.target) });
}
function grow(area) { if (!CSS.supports("field-sizing", "content")) { area.style.height = "auto"; area.style.height = `${area.scrollHeight + 2}px`; } }

function sideSection(d, seen, sign, scale, most = Infinity) {
  const key = `${d.id}_${sign}`, what = `${longName(d)}, ${sign} side`, examples = seen[sign];
  return element("section", { class: `card side ${sign}`, "aria-label": what },
    element("header", {}, element("h3", { textContent: sign === "positive" ? "Positive" : "Negative" }), element("span", { class: "soft", textContent: sign === "positive" ? `up to ${number(seen.max)}` : `down to ${number(seen.min)}` }), starButton(key, what)),
    noteField(key, what),
    examples.length ? element("ol", { class: "examples" }, ...examples.slice(0, most).map(e => exampleItem(e, scale))) : element("p", { class: "soft", textContent: `No token had a ${sign} value.` }),
    examples.length > most && element("a", { class: "more", href: link(d), textContent: `${examples.length - most} more` }));
}

function histogram(seen) {
  const { edges: [low, high], counts } = seen.histogram, W = 320, H = 72, n = counts.length, most = Math.log1p(Math.max(...counts, 1)), wide = high - low || 1;
  const x = v => (v - low) / wide * W;
  const title = `Values of ${whole(seen.count)} tokens from ${number(low)} to ${number(high)}, mean ${number(seen.mean)}, standard deviation ${number(seen.std)}`;
  const svg = element("svg:svg", { viewBox: `0 0 ${W} ${H + 18}`, role: "img", "aria-label": title, class: "histogram" });
  counts.forEach((c, i) => {
    const [a, b] = [low + wide * i / n, low + wide * (i + 1) / n], h = Math.log1p(c) / most * (H - 4);
    svg.append(tipped(element("svg:rect", { x: i * W / n, y: 0, width: W / n, height: H, class: "room" }), `${number(a)} to ${number(b)}: ${whole(c)} tokens`));
    if (c) svg.append(element("svg:rect", { x: i * W / n + .5, y: H - h, width: W / n - 1, height: h, class: (a + b) / 2 < 0 ? "negative" : "positive" }));
  });
  svg.append(element("svg:line", { x1: 0, x2: W, y1: H + .5, y2: H + .5, class: "axis" }));
  const marks = [[low, "start"], [high, "end"], ...(low < 0 && high > 0 && x(0) > 40 && x(0) < W - 40 ? [[0, "middle"]] : [])];
  for (const [v, anchor] of marks) svg.append(element("svg:text", { x: x(v), y: H + 14, "text-anchor": anchor, textContent: number(v) }));
  if (low < 0 && high > 0) svg.append(element("svg:line", { x1: x(0), x2: x(0), y1: 0, y2: H, class: "zero" }));
  for (const [q, v] of Object.entries(seen.quantiles ?? {})) svg.append(element("svg:path", { d: `M${x(v)} ${H}l-2.5 5h5z`, class: "quantile" }, element("svg:title", { textContent: `${number(100 * q)}% of the tokens are below ${number(v)}` })));
  return svg;
}

function histogramCard(seen) {
  return element("section", { class: "card", "aria-label": "Distribution" }, element("header", {}, element("h3", { textContent: "Distribution" }), element("span", { class: "soft", textContent: `${whole(seen.count)} tokens, log scale` })), histogram(seen));
}

function chips(pairs) {
  return element("p", { class: "chips" }, ...pairs.map(([t, score]) => tipped(element("span", { class: "chip", dir: "auto", textContent: chip(t) }), signed(score))));
}
function effectsCard(seen) {
  const e = seen.effects, output = e?.side === "output";
  const body = e ? [element("h4", { textContent: output ? "promotes, where positive" : "along" }), chips(e.promoted), element("h4", { textContent: output ? "suppresses" : "against" }), chips(e.suppressed)] : [element("p", { class: "soft", textContent: "Not computed for this module." })];
  return element("section", { class: "card effects", "aria-label": "Effects" }, element("header", {}, element("h3", { textContent: e ? (output ? "Writes" : "Reads") : "Effects" }), e && element("span", { class: "soft", textContent: output ? "through the unembedding" : "through the embedding" })), ...body);
}

function cosinesCard(seen) {
  const rows = (seen.cosines ?? []).filter(([id]) => page.byId.has(id)).map(([id, cosine]) => {
    const meter = element("i", { class: cosine > 0 ? "positive" : "negative" });
    meter.style.width = `${100 * Math.min(1, Math.abs(cosine))}%`;
    return element("li", {}, element("a", { href: link(page.byId.get(id)), textContent: shortName(page.byId.get(id)) }), element("span", { class: "meter", "aria-hidden": "true" }, meter), element("span", { class: "num", textContent: `${cosine > 0 ? "+" : ""}${cosine.toFixed(2).replace("-", "−")}` }));
  });
  return element("section", { class: "card", "aria-label": "Nearest directions" }, element("header", {}, element("h3", { textContent: "Nearest directions" }), element("span", { class: "soft", textContent: "cosine" })), rows.length ? element("ul", { class: "cosines" }, ...rows) : element("p", { class: "soft", textContent: "None was computed." }));
}

function facts(d, seen) {
  const of = page.directions.length, lost = d.kl / page.importance?.base_kl;
  return [["share of the adapter’s KL", d.share === null ? null : percent(d.share), d.rank === null ? null : `rank ${whole(d.rank)} of ${whole(of)}`], ["KL when ablated", d.kl === null ? null : number(d.kl), lost ? `${percent(lost)} of the adapter’s` : null], ["strength", number(d.strength)], ["mean ± std", `${number(seen.mean)} ± ${number(seen.std)}`],
    ["zero crossings", percent(seen.zero_crossings)], ["range", `${number(seen.min)} … ${number(seen.max)}`]]
    .filter(([, v]) => v !== null).map(([k, v, more]) => element("div", {}, element("dt", { textContent: k }), element("dd", { textContent: v }, more ? element("small", { textContent: ` ${more}` }) : null)));
}

const scaleOf = seen => Math.max(Math.abs(seen.min), Math.abs(seen.max)) || 1;

function headline(d, text, beside) {
  return element("header", { class: "headline" },
    element("h2", { textContent: text }),
    element("div", { class: "steps" },
      element("button", { onclick: () => step(-1), "aria-label": "Previous direction", title: "Previous (k)", textContent: "‹" }), element("button", { onclick: () => step(1), "aria-label": "Next direction", title: "Next (j)", textContent: "›" }),
      element("button", { "aria-pressed": String(beside), title: "The layer's modules side by side (c)", onclick: () => go(d, { beside: !beside, push: true }), textContent: "Side by side" })));
}

function oneView(d, seen) {
  const scale = scaleOf(seen), title = headline(d, longName(d), false);
  title.firstChild.append(element("small", { class: "soft path", textContent: d.module.module }));
  return [title, element("dl", { class: "facts" }, ...facts(d, seen)),
    element("div", { class: "overview" }, histogramCard(seen), effectsCard(seen), cosinesCard(seen)),
    element("div", { class: "sides" }, ...SIGNS.map(s => sideSection(d, seen, s, scale)))];
}

function besides(d) {                                     // the same direction number in the layer's modules of the same kind
  return page.modules.filter(m => m.layer === d.module.layer && m.kind === d.module.kind).map(m => m.directions.find(o => o.index === d.index) ?? m.directions[0]);
}

const BESIDE = 6;                                         // examples of a side, so that both sides are near
function besideColumn(d, seen, here) {
  const scale = scaleOf(seen);
  return element("section", { class: `column${here ? " here" : ""}`, "aria-label": longName(d) },
    element("section", { class: "card" }, element("header", {}, element("h3", {}, element("a", { href: link(d), textContent: shortName(d) })), element("span", { class: "soft", textContent: d.share === null ? `strength ${number(d.strength)}` : `share ${percent(d.share)}` })), histogram(seen)),
    ...SIGNS.map(s => sideSection(d, seen, s, scale, BESIDE)));
}

async function besideView(d) {
  const all = besides(d), seen = await Promise.all(all.map(detail)), m = d.module;
  const columns = element("div", { class: "columns", tabindex: 0, role: "group", "aria-label": "Modules side by side" }, ...all.map((o, i) => besideColumn(o, seen[i], o === d)));
  columns.style.setProperty("--columns", all.length);
  return [headline(d, (m.layer === null ? m.module : `Layer ${m.layer} · ${m.kind}`) + (several(d) ? ` · d${d.index}` : ""), true), columns];
}

function paintNotes(root, keys) {                         // stars and texts as they are now
  const all = keys && new Set(keys);
  for (const b of root.querySelectorAll("[data-star]")) if (!all || all.has(b.dataset.star)) {
    const on = notes.get(b.dataset.star).starred;
    b.setAttribute("aria-pressed", String(on)); b.textContent = on ? "★" : "☆";
  }
  for (const a of root.querySelectorAll("[data-note]")) if (!all || all.has(a.dataset.note)) {
    const text = notes.get(a.dataset.note).text;
    if (a.value === text) continue;
    const [start, end, before] = [a.selectionStart, a.selectionEnd, a.value.length], behind = text.endsWith(a.value) ? text.length - before : 0;
    a.value = text;
    if (document.activeElement === a) a.setSelectionRange(start + behind, end + behind);
    grow(a);
  }
}

function paintFound(root, query) {                        // what was searched, in the examples
  if (!CSS.highlights) return;
  const ranges = [], q = visible(query || " ").toLowerCase();
  if (query) for (const p of root.querySelectorAll(".context")) {
    const nodes = [...p.childNodes].map(n => n.firstChild ?? n).filter(n => n.length), starts = [], text = p.textContent.toLowerCase();
    let at = 0;
    for (const n of nodes) { starts.push(at); at += n.length; }
    if (text.length !== at) continue;                     // letters whose small form is longer
    const point = i => { let k = nodes.length - 1; while (starts[k] > i) k--; return [nodes[k], i - starts[k]]; };
    for (let i = text.indexOf(q); i >= 0; i = text.indexOf(q, i + q.length)) {
      const range = new Range(), [a, b] = [point(i), point(i + q.length - 1)];
      range.setStart(...a); range.setEnd(b[0], b[1] + 1);
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
