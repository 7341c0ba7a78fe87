// What a person draws over a result: outlines that can be pulled, undone and are kept by themselves.
import { isWithin, pulled } from './geometry.js';

const OUTLINES = ['endocardium', 'epicardium', 'aif_region'];
const POINTS = ['rv_insertion_anterior', 'rv_insertion_inferior'];
const HANDLES = 12;
const KEEP_AFTER_MS = 800;
const AGAIN_AFTER_MS = 5000;

const copy = (value) => JSON.parse(JSON.stringify(value));
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export class Drawing {
  constructor({ edit, editAddress, series, strings, token, onChange, status }) {
    this.address = editAddress;
    this.strings = strings;
    this.token = token;
    this.onChange = onChange;
    this.status = status;
    this.original = Object.fromEntries(series.map((one) => [one.folder, one.contours]));
    this.content = copy(edit?.content ?? {});
    this.version = edit?.version ?? 0;
    this.past = [];
    this.future = [];
    this.timer = null;
    this.sending = false;
    this.stopped = false;
  }

  get isEmpty() { return Object.keys(this.content).length === 0; }

  /** The outlines that count now: what was drawn, over what was found. */
  of(folder) {
    return { ...this.original[folder], ...(this.content[folder] ?? {}) };
  }

  handles(folder) {
    const outlines = this.of(folder);
    const found = [];
    for (const name of OUTLINES) {
      const outline = outlines[name];
      if (!outline) continue;
      for (let k = 0; k < HANDLES; k += 1) {
        const at = Math.round((k * outline.length) / HANDLES) % outline.length;
        found.push({ name, at, number: k + 1, point: outline[at] });
      }
    }
    for (const name of POINTS) if (outlines[name]) found.push({ name, at: 0, number: 1, point: outlines[name] });
    return found;
  }

  /** Before the first change of a drag: where undo goes back to. */
  begin() {
    this.past.push(copy(this.content));
    if (this.past.length > 200) this.past.shift();
    this.future = [];
  }

  move(folder, { name, at }, by) {
    const now = this.of(folder);
    const mine = this.content[folder] ?? (this.content[folder] = {});
    if (name === 'aif_region') {
      mine.aif_region = pulled(now.aif_region, at, by);
    } else {
      // Outlines and insertion points go together: the engine takes them as one drawing.
      for (const other of ['endocardium', 'epicardium', ...POINTS]) if (now[other]) mine[other] = copy(now[other]);
      if (OUTLINES.includes(name)) mine[name] = pulled(mine[name], at, by);
      else mine[name] = [mine[name][0] + by[0], mine[name][1] + by[1]];
    }
    this.changed();
  }

  setRegion(folder, points) {
    this.begin();
    const mine = this.content[folder] ?? (this.content[folder] = {});
    if (points) mine.aif_region = points;
    else {
      delete mine.aif_region;
      if (Object.keys(mine).length === 0) delete this.content[folder];
    }
    this.changed();
  }

  undo() { this.swap(this.past, this.future); }

  redo() { this.swap(this.future, this.past); }

  swap(from, to) {
    if (!from.length) return;
    to.push(copy(this.content));
    this.content = from.pop();
    this.changed();
  }

  changed() {
    this.onChange();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), KEEP_AFTER_MS);
  }

  /** Names of series whose inner outline does not lie within the outer one. */
  crossing(series) {
    return series.filter(({ folder }) => {
      const { endocardium, epicardium } = this.of(folder);
      return this.content[folder] && endocardium && epicardium && !isWithin(endocardium, epicardium);
    }).map(({ label }) => label);
  }

  async send(method, body) {
    return fetch(this.address, {
      method,
      redirect: 'manual',
      keepalive: true,
      headers: { 'Content-Type': 'application/json', 'X-CSRFToken': this.token },
      body: body && JSON.stringify(body, (_, value) => (Number.isFinite(value) ? Math.round(100 * value) / 100 : value)),
    });
  }

  async keep() {
    clearTimeout(this.timer);
    if (this.stopped) return false;
    if (this.sending) { this.again = true; return false; }
    this.sending = true;
    this.status(this.strings.keeping);
    const sent = JSON.stringify(this.content);
    let kept = false;
    try {
      const answer = await this.send('PUT', { version: this.version, content: this.content });
      if (answer.type === 'opaqueredirect' || answer.status === 404 || answer.status === 403) {
        this.status(this.strings.ended, true);
        this.stopped = true;
      } else if (answer.status === 409) {
        const theirs = await answer.json();
        this.stopped = true;
        this.status(fill(this.strings.conflict, { by: theirs.by || this.strings.somebody, at: theirs.at }), true, theirs);
      } else if (answer.status === 400) {
        this.status((await answer.json()).reason, true);
      } else if (answer.ok) {
        const told = await answer.json();
        this.version = told.version;
        kept = true;
        this.status(fill(this.strings.kept, { at: told.at }));
      } else throw new Error(String(answer.status));
    } catch {
      this.status(this.strings.notKept, true);
      this.timer = setTimeout(() => this.keep(), AGAIN_AFTER_MS);
    }
    this.sending = false;
    if (this.again || (kept && sent !== JSON.stringify(this.content))) {
      this.again = false;
      return this.keep();
    }
    return kept;
  }

  /** After a conflict: theirs in place of mine, or mine over theirs. */
  resolve(theirs, mine) {
    this.version = theirs.version;
    this.stopped = false;
    if (!mine) {
      this.begin();
      this.content = copy(theirs.content);
      this.onChange();
      return;
    }
    this.keep();
  }

  async discard() {
    const answer = await this.send('DELETE');
    if (!answer.ok) { this.status(this.strings.notKept, true); return; }
    this.begin();
    this.content = {};
    this.version = 0;
    this.stopped = false;
    this.onChange();
    this.status(this.strings.nothingDrawn);
  }
}

export { fill };
