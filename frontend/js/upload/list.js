// The list of what was chosen, before anything is sent: a checkbox for each examination and series.
import { day, isUsable } from './groups.js';
import { megabytes } from './collect.js';

const SHOWN_SERIES = 12;

export function files(count) {
  return count === 1 ? '1 file' : `${count.toLocaleString('en-GB')} files`;
}

/** Builds the list into `place` and tells `onChange` whenever something is taken or left. */
export class List {
  constructor(place, groups, onChange) {
    this.boxes = [];
    this.onChange = onChange;
    place.replaceChildren();
    for (const { patient, study } of groups.studies) place.append(this.study(patient, study));
    for (const [title, hint, entries] of [
      ['ZIP archives', 'opened on the site', groups.zips],
      ['DICOM files whose header this page cannot read', 'looked at on the site', groups.unknown],
    ]) {
      if (entries.length === 0) continue;
      const set = fieldset(title);
      const bytes = entries.reduce((sum, { size }) => sum + size, 0);
      const preview = entries !== groups.zips;
      const row = this.row({ label: `${files(entries.length)}, ${hint}`, hint: names(entries), entries, bytes, preview, name: title });
      set.append(boxes(row.item));
      place.append(set);
    }
  }

  study(patient, study) {
    const who = [patient.name || 'No name', patient.id, patient.born && `born ${day(patient.born)}`].filter(Boolean).join(', ');
    const what = ['Examination', day(study.date) && `of ${day(study.date)}`, study.description && `(${study.description})`].filter(Boolean).join(' ');
    const set = fieldset(who);
    const all = [...study.series.values()].sort((one, other) => Number(one.number) - Number(other.number));
    const rows = all.map((series) => this.row({
      label: seriesName(series), hint: `${files(series.entries.length)}, ${megabytes(series.bytes)} MB${isUsable(series) ? '' : '. No MR image: left out'}`,
      entries: series.entries, bytes: series.bytes, taken: isUsable(series), name: seriesName(series),
    }));
    const whole = checkbox(what, `${files(all.reduce((sum, one) => sum + one.entries.length, 0))} in ${all.length === 1 ? '1 series' : `${all.length} series`}`);
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
    set.append(boxes(whole.item), all.length > SHOWN_SERIES ? folded(`Show its ${all.length} series`, list) : list);
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
  return `Series ${number || 'without number'}${description ? `: ${description}` : ''}${kind}`;
}

function names(entries) {
  const shown = entries.slice(0, 3).map(({ name }) => name).join(', ');
  return entries.length > 3 ? `${shown} and ${entries.length - 3} more` : shown;
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
