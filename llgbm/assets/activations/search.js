// Search: found tokens come from the index at once; contexts and effects are unpacked in the background, once, when somebody first searches.

const texts = [];                                         // per direction {shown, lower}, when unpacked
let scan = null;

const pause = () => new Promise(r => { const c = new MessageChannel(); c.port1.onmessage = () => { c.port1.close(); r(); }; c.port2.postMessage(0); });

function textOf(raw, words) {
  const said = t => words[t];
  const contexts = [...raw.positive, ...raw.negative].map(e => e[4].map(said).join(""));
  const effects = raw.effects ? [...raw.effects.promoted, ...raw.effects.suppressed].map(([t]) => words[t]) : [];
  const shown = [...contexts, ...effects].join("\u0000");
  return { shown, lower: shown.toLowerCase() };
}

function readAll(progress) {                              // one pass over all blocks, in slices that leave the page alive
  return scan ??= (async () => {
    let rested = performance.now();
    for (const m of page.modules) {
      const raw = await readBlock(m.number, false).catch(() => []);
      for (const d of m.directions) texts[d.at] = raw[d.place] ? textOf(raw[d.place], page.tokens) : { shown: "", lower: "" };
      if (performance.now() - rested > 12) { progress((m.number + 1) / page.modules.length); await pause(); rested = performance.now(); }
    }
    progress(1);
  })();
}

function around(text, at, length) {
  const [a, b] = [Math.max(0, at - 24), Math.min(text.length, at + length + 32)], line = text.slice(a, b).split("\u0000");
  return visible(line.find(l => l.length >= length && l.toLowerCase().includes(text.slice(at, at + length).toLowerCase())) ?? text.slice(at, at + length));
}

// A hit is [order, what is shown]: notes before found tokens, these before contexts.
function finder(query) {
  const q = query.toLowerCase(), hit = new Set();
  page.tokens.forEach((t, i) => { if (t.toLowerCase().includes(q)) hit.add(i); });
  return d => {
    const noted = sides(d).map(k => notes.get(k).text).find(t => t.toLowerCase().includes(q));
    if (noted !== undefined) return [0, around(noted, noted.toLowerCase().indexOf(q), q.length)];
    if (d.id.toLowerCase().includes(q) || d.module.module.toLowerCase().includes(q)) return [0, d.module.module];
    for (const sign of SIGNS) {
      const token = d[sign].find(t => hit.has(t));
      if (token !== undefined) return [1, chip(page.tokens[token]), sign];
    }
    const at = texts[d.at]?.lower.indexOf(q) ?? -1;
    return at < 0 ? null : [2, around(texts[d.at].shown, at, q.length)];
  };
}
