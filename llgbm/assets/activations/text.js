// Text from models and data: seen whole, never read as HTML (everything goes through textContent).

const NAMED = { "\n": "⏎", "\t": "⇥", "\r": "␍", "\u00a0": "⍽", "\u00ad": "‹SHY›", "\u061c": "‹ALM›", "\u200b": "‹ZWSP›", "\u200c": "‹ZWNJ›", "\u200d": "‹ZWJ›",
  "\u200e": "‹LRM›", "\u200f": "‹RLM›", "\u202a": "‹LRE›", "\u202b": "‹RLE›", "\u202c": "‹PDF›", "\u202d": "‹LRO›", "\u202e": "‹RLO›", "\u2066": "‹LRI›", "\u2067": "‹RLI›", "\u2068": "‹FSI›", "\u2069": "‹PDI›", "\ufeff": "‹BOM›" };
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u00a0]/gu;      // \p{Cs} with /u: surrogates without a partner

const symbol = c => NAMED[c] ?? `‹U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
const visible = text => text === "" ? "∅" : text.replace(UNSEEN, symbol);
const chip = text => visible(text).replace(/^ +| +$/g, s => "␣".repeat(s.length));     // where nothing stands around a token

const number = (v, digits = 3) => v === null || v === undefined ? "–" : v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(digits - 1).replace("-", "−") : String(+v.toPrecision(digits)).replace("-", "−");
const signed = v => (v > 0 ? "+" : "") + number(v);
const percent = v => `${number(100 * v, 2)}%`;
const whole = v => v.toLocaleString("en");

const PROPERTIES = new Set(["value", "hidden", "disabled", "textContent"]);
function element(tag, attributes = {}, ...children) {
  const e = tag.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (PROPERTIES.has(k)) e[k] = v;
    else e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.filter(c => c !== null && c !== undefined && c !== false));
  return e;
}
const $ = id => document.getElementById(id);
