// The data lie in this file as gzip + base64, one block for every module, and are unpacked when they are looked at.

const DECODED = 48;                                       // blocks to remember
const blocks = new Map();                                 // module number → promise of its directions

async function node(id) {
  if (!$(id) && document.readyState === "loading") await new Promise(r => document.addEventListener("DOMContentLoaded", r, { once: true }));
  if (!$(id)) throw new Error(`a part of this file is missing (${id})`);
  return $(id);
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unpack(id) {
  const bytes = bytesOf((await node(id)).textContent.trim()), gzip = new DecompressionStream("gzip"), writer = gzip.writable.getWriter();
  const written = writer.write(bytes).then(() => writer.close());
  const [value] = await Promise.all([new Response(gzip.readable).json(), written]);
  return value;
}

function readBlock(m, keep = true) {
  if (blocks.has(m)) { const b = blocks.get(m); if (keep) { blocks.delete(m); blocks.set(m, b); } return b; }
  const found = unpack(`module-${m}`);
  if (keep) {
    blocks.set(m, found);
    found.catch(() => blocks.delete(m));
    if (blocks.size > DECODED) blocks.delete(blocks.keys().next().value);
  }
  return found;
}

// Examples as [text, position, value, target, token numbers, values]
const exampleOf = ([text, position, value, target, tokens, values], words) => ({ text, position, value, target, tokens: tokens.map(t => words[t]), values });
const wordsOf = (pairs, words) => pairs.map(([t, score]) => [words[t], score]);

async function detail(d) {
  const raw = (await readBlock(d.module.number))[d.place], words = page.tokens;
  return { ...raw, positive: raw.positive.map(e => exampleOf(e, words)), negative: raw.negative.map(e => exampleOf(e, words)),
    effects: raw.effects && { ...raw.effects, promoted: wordsOf(raw.effects.promoted, words), suppressed: wordsOf(raw.effects.suppressed, words) } };
}

function readIndex(index) {
  const modules = index.modules.map((m, number) => ({ ...m, number, directions: [] }));
  const directions = index.directions.map(([m, place, id, i, strength, share, kl, rank, positive, negative], at) => {
    const d = { at, module: modules[m], place, id, index: i, strength, share, kl, rank, positive, negative };
    modules[m].directions.push(d);
    return d;
  });
  return { ...index, modules, directions, byId: new Map(directions.map(d => [d.id, d])) };
}
