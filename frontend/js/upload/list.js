// The list of what was chosen, before anything is sent: a checkbox for each examination and series.
import { day, isUsable } from './groups.js';
import { megabytes } from './collect.js';
import { files, say } from './words.js';

const SHOWN_SERIES = 12;

/** Builds the list into `place` and tells `onChange` whenever something is taken or left. */
export class List {
  constructor(place, groups, onChange) {
    this.boxes = [];
    this.onChange = onChange;
    place.replaceChildren();
    for (const { patient, study } of groups.studies) place.append(this.study(patient, study));
    for (const [kind, entries] of [['archives', groups.zips], ['unknown', groups.unknown]]) {
      if (entries.length === 0) continue;
      const title = say(kind);
      const set = fieldset(title);
      const bytes = entries.reduce((sum, { size }) => sum + size, 0);
      const preview = entries !== groups.zips;
      const row = this.row({ label: say(`${kind}Hint`, { files: files(entries.length) }), hint: names(entries), entries, bytes, preview, name: title });
      set.append(boxes(row.item));
      place.append(set);
    }
  }

  study(patient, study) {
    const who = [patient.name || say('noName'), patient.id, patient.born && say('born', { day: day(patient.born) })].filter(Boolean).join(', ');
    const when = day(study.date);
    const what = [when ? say('examinationOf', { day: when }) : say('examination'), study.description && `(${study.description})`].filter(Boolean).join(' ');
    const set = fieldset(who);
    const all = [...study.series.values()].sort((one, other) => Number(one.number) - Number(other.number));
    const rows = all.map((series) => this.row({
      label: seriesName(series),
      hint: say(isUsable(series) ? 'seriesSize' : 'noMr', { files: files(series.entries.length), mb: megabytes(series.bytes) }),
      entries: series.entries, bytes: series.bytes, taken: isUsable(series), name: seriesName(series),
    }));
    const inAll = files(all.reduce((sum, one) => sum + one.entries.length, 0));
    const whole = checkbox(what, say(all.length === 1 ? 'inOneSeries' : 'inSeries', { files: inAll, count: all.length }));
    const show = () => {
      whole.box.checked = rows.every(({ box }) => box.checked);
      whole.box.indeterminate = !whole.box.checked && rows.some(({ box }) => box.checked);
    };
    whole.box.addEventListener('change', () => {
      for (const { box } of rows) box.checked = whole.box.checked;
      this.onChange();
    });
    for (const { box } of rows) box.addEventListener('change', show);
    show();
    const list = boxes(...rows.map(({ item }) => item));
    list.classList.add('app-groups__series');
    set.append(boxes(whole.item), all.length > SHOWN_SERIES ? folded(say('showSeries', { count: all.length }), list) : list);
    return set;
  }

  row({ label, hint, entries, bytes, taken = true, preview = true, name }) {
    const made = checkbox(label, hint);
    made.box.checked = taken;
    made.box.addEventListener('change', () => this.onChange());
    this.boxes.push({ box: made.box, entries, bytes, preview, name });
    return made;
  }

  /** What is to be sent, in one order whatever was ticked. */
  get chosen() {
    return this.boxes.filter(({ box }) => box.checked).flatMap(({ entries }) => entries).sort((one, other) => one.place - other.place);
  }

  /** For the preview: a name for each series, and its first file. */
  get examples() {
    return this.boxes.filter(({ preview }) => preview).map(({ name, entries }) => ({ name, place: entries[0].place }));
  }
}

function seriesName({ number, description, modality }) {
  const kind = modality && modality !== 'MR' ? ` (${modality})` : '';
  const name = number ? say('seriesNumber', { number }) : say('seriesWithoutNumber');
  return `${name}${description ? `: ${description}` : ''}${kind}`;
}

function names(entries) {
  const shown = entries.slice(0, 3).map(({ name }) => name).join(', ');
  return entries.length > 3 ? say('andMore', { names: shown, count: entries.length - 3 }) : shown;
}

function boxes(...items) {
  const list = Object.assign(document.createElement('div'), { className: 'nhsuk-checkboxes nhsuk-checkboxes--small' });
  list.append(...items);
  return list;
}

function fieldset(title) {
  const set = Object.assign(document.createElement('fieldset'), { className: 'nhsuk-fieldset app-groups__group' });
  const legend = Object.assign(document.createElement('legend'), { className: 'nhsuk-fieldset__legend nhsuk-fieldset__legend--s', textContent: title });
  set.append(legend);
  return set;
}

let made = 0;

function checkbox(text, hint) {
  made += 1;
  const id = `upload-group-${made}`;
  const item = Object.assign(document.createElement('div'), { className: 'nhsuk-checkboxes__item' });
  const box = Object.assign(document.createElement('input'), { className: 'nhsuk-checkboxes__input', type: 'checkbox', id, checked: true });
  box.setAttribute('aria-describedby', `${id}-hint`);
  const label = Object.assign(document.createElement('label'), { className: 'nhsuk-label nhsuk-checkboxes__label', htmlFor: id, textContent: text });
  const below = Object.assign(document.createElement('div'), { className: 'nhsuk-hint nhsuk-checkboxes__hint', id: `${id}-hint`, textContent: hint });
  item.append(box, label, below);
  return { item, box };
}

function folded(title, inside) {
  const details = Object.assign(document.createElement('details'), { className: 'nhsuk-details' });
  const summary = Object.assign(document.createElement('summary'), { className: 'nhsuk-details__summary' });
  summary.append(Object.assign(document.createElement('span'), { className: 'nhsuk-details__summary-text', textContent: title }));
  const text = Object.assign(document.createElement('div'), { className: 'nhsuk-details__text' });
  text.append(inside);
  details.append(summary, text);
  return details;
}
