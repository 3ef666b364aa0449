// Notes and stars, by side of a direction. They are kept in this browser, or in a file by the server that serves this page.

const LONGEST = 100_000;                                  // characters of a note
const EMPTY = { text: "", starred: false };
const same = (a, b) => a.text === b.text && a.starred === b.starred;
const when = note => Date.parse(/Z$|[+-]\d\d:?\d\d$/.test(note?.lastModified ?? "") ? note.lastModified : `${note?.lastModified}Z`) || 0;
const stamp = before => { const t = new Date(Math.max(Date.now(), when(before) + 1)); return t.toISOString(); };

// Somebody else changed a note (base → theirs) while it was changed here (base → mine): nothing that was written is lost.
function merge(base, mine, theirs) {
  const text = mine.text === base.text || theirs.text.includes(mine.text) ? theirs.text : theirs.text === base.text || mine.text.includes(theirs.text) ? mine.text : `${theirs.text}\n\n${mine.text}`;
  return { text, starred: mine.starred === base.starred ? theirs.starred : mine.starred };
}

function storage() {
  try { localStorage.setItem("llgbm-try", "1"); localStorage.removeItem("llgbm-try"); return localStorage; } catch { return null; }
}
function stored(prefix) {
  const found = new Map(), box = storage();
  for (let i = 0; box && i < box.length; i++) {
    const k = box.key(i);
    if (k.startsWith(prefix)) try { found.set(k.slice(prefix.length), JSON.parse(box.getItem(k))); } catch { /* not ours */ }
  }
  return found;
}

class InBrowser {                                         // one item for every note, so that two tabs don't overwrite each other's
  constructor(prefix) { this.prefix = `llgbm-note:${prefix}:`; this.box = storage(); this.delay = 0; this.place = "in this browser"; }
  async read() { return stored(this.prefix); }
  async send(changes) {
    if (!this.box) throw new Error("this browser keeps nothing for this page: export your notes before you close it");
    const saved = {}, conflicts = {};
    for (const [key, { base, lastModified, ...mine }] of Object.entries(changes)) {
      const now = JSON.parse(this.box.getItem(this.prefix + key) ?? "null");
      if ((now?.lastModified ?? null) !== base) { conflicts[key] = now ?? { ...EMPTY, lastModified: null }; continue; }
      saved[key] = { ...now, ...mine, lastModified: lastModified ?? stamp(now) };
      try { this.box.setItem(this.prefix + key, JSON.stringify(saved[key])); } catch { throw new Error("this browser has no room left: export your notes before you close this page"); }
    }
    return { saved, conflicts };
  }
  follow(notes) {
    addEventListener("storage", async e => { if (e.key === null || e.key.startsWith(this.prefix)) notes.take(await this.read()); });
  }
}

class AtServer {
  constructor() { this.delay = 400; this.place = "in the file"; this.version = null; }
  async ask(options) {
    const reply = await fetch("notes", { cache: "no-store", signal: AbortSignal.timeout?.(30000), ...options }).catch(() => { throw new Error("the server doesn't answer"); });
    if (reply.status === 304) return null;
    const value = await reply.json().catch(() => ({ error: `the server answered ${reply.status}` }));
    if (!reply.ok) throw new Error(value.error ?? `the server answered ${reply.status}`);
    if (!options.method) this.version = reply.headers.get("etag");
    return value;
  }
  async read() {
    const found = await this.ask(this.version ? { headers: { "If-None-Match": this.version } } : {});
    if (found?.problem) tell(found.problem, "file");
    return found && new Map(Object.entries(found.interpretations));
  }
  async send(changes) {
    const body = JSON.stringify({ changes });
    return this.ask({ method: "PATCH", body, headers: { "Content-Type": "application/json" }, keepalive: body.length < 20000 });     // it arrives though the tab be closed
  }
  follow(notes) {
    const look = async () => { if (!document.hidden) await notes.look(); };
    setInterval(look, 1500);
    document.addEventListener("visibilitychange", () => { if (document.hidden) notes.save(); else look(); });
  }
}

class Notes {
  constructor(backend, prefix, changed, said) {
    Object.assign(this, { backend, changed, said, saved: new Map(), edits: new Map(), sending: false, looking: false, sent: 0, failures: 0, timer: 0 });
    this.unsaved = `llgbm-unsaved:${prefix}:`;            // what the server hasn't got yet outlives this tab
  }
  get(key) { return this.edits.get(key)?.mine ?? this.saved.get(key) ?? EMPTY; }
  keys() { return new Set([...this.saved.keys(), ...this.edits.keys()]); }

  async open() {
    for (const [key, edit] of stored(this.unsaved)) this.edits.set(key, edit);
    await this.look();
    this.backend.follow(this);
    this.later();
  }
  async look() {                                          // what others have written
    if (this.sending || this.looking) return;
    const { sent } = this;
    this.looking = true;
    try {
      const found = await this.backend.read();
      if (sent === this.sent) { if (found) this.take(found); } else this.backend.version = null;      // older than what was sent: it's asked for again
      if (!this.edits.size) this.report();
    } catch (e) { this.report(e); }
    this.looking = false;
  }
  take(found) { this.saved = found; this.changed([...this.keys()]); }

  edit(key, change) {
    const e = this.edits.get(key) ?? { base: this.saved.get(key) ?? null };
    const { text, starred } = { ...this.get(key), ...change };
    this.edits.set(key, { base: e.base, mine: { text: text.toWellFormed?.() ?? text, starred }, lastModified: change.lastModified });
    this.keep(key);
    this.changed([key]);
    this.later();
  }
  keep(key) {
    if (this.backend.delay === 0) return;                 // it's kept there at once
    const e = this.edits.get(key), box = storage();
    try { e ? box.setItem(this.unsaved + key, JSON.stringify(e)) : box.removeItem(this.unsaved + key); } catch { /* the file still gets it */ }
  }
  atRisk() {                                              // whether something would be lost with this tab
    return this.failures > 0 && [...this.edits.keys()].some(k => !storage()?.getItem(this.unsaved + k));
  }
  later(wait = this.backend.delay) {
    clearTimeout(this.timer);
    if (!this.edits.size) return;
    if (wait === 0) this.save(); else this.timer = setTimeout(() => this.save(), wait);
  }
  async save() {
    if (this.sending || !this.edits.size) return;
    const some = new Map(), changes = {};
    let size = 0;
    for (const [k, e] of this.edits) if (some.size === 0 || (size += e.mine.text.length + 200) < 200_000) some.set(k, e);      // a long import goes in parts
    for (const [k, e] of some) changes[k] = { ...e.mine, base: e.base?.lastModified ?? null, lastModified: e.lastModified };
    this.sending = true; this.sent++;
    try {
      const { saved, conflicts } = await this.backend.send(changes);
      for (const [k, note] of Object.entries(saved)) this.settle(k, note, this.edits.get(k), some.get(k).mine);
      for (const [k, theirs] of Object.entries(conflicts)) { const e = this.edits.get(k); e.mine = merge(e.base ?? EMPTY, e.mine, theirs); this.settle(k, theirs, e, theirs); }
      this.failures = 0;
      this.report();
      this.changed([...some.keys()]);
    } catch (e) { this.failures++; this.report(e); }
    this.sending = false;
    this.later(this.failures ? Math.min(30000, 1000 * 2 ** this.failures) : this.backend.delay);
  }
  settle(key, note, edit, sent) {                         // what is there now; an edit that goes beyond it stays one
    this.saved.set(key, note);
    if (same(edit.mine, sent)) this.edits.delete(key); else this.edits.set(key, { base: note, mine: edit.mine });
    this.keep(key);
  }
  report(error) { this.said(error, this.edits.size); }

  export() {
    const all = [...this.keys()].sort().map(k => [k, { ...this.saved.get(k), ...this.get(k), lastModified: this.edits.has(k) ? stamp() : this.saved.get(k).lastModified }]);
    return JSON.stringify({ interpretations: Object.fromEntries(all) }, null, 2) + "\n";
  }
  import(text) {                                          // the newer one wins; what it replaces is returned
    const found = readNotes(text), replaced = new Map(), taken = [];
    for (const [key, note] of found) {
      const mine = this.get(key), empty = same(mine, EMPTY);
      if (same(mine, note) || (!empty && when(note) <= (this.edits.has(key) ? Date.now() : when(this.saved.get(key))))) continue;
      if (!empty) replaced.set(key, { text: mine.text, starred: mine.starred });
      taken.push([key, note]);
    }
    for (const [key, note] of taken) this.edit(key, { ...note, lastModified: when(note) ? new Date(when(note)).toISOString() : undefined });
    return { found: [...found.keys()], taken: taken.length, replaced };
  }
}

function readNotes(text) {
  let all;
  try { all = JSON.parse(text)?.interpretations; } catch (e) { throw new Error(`not JSON: ${e.message}`); }
  if (typeof all !== "object" || all === null || Array.isArray(all)) throw new Error('no notes: {"interpretations": {…}} is expected');
  return new Map(Object.entries(all).map(([key, n]) => {
    if (typeof n?.text !== "string" || n.text.length > LONGEST) throw new Error(`interpretations.${key}: a "text" of at most ${LONGEST} characters is expected`);
    if (!key || key.length > 300) throw new Error(`${key.slice(0, 60)}: a name of 1 to 300 characters is expected`);
    return [key.toWellFormed?.() ?? key, { text: n.text, starred: n.starred === true, lastModified: n.lastModified }];
  }));
}
