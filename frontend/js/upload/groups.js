// Files by patient, examination and series, with what stays behind and why.
import { number, say } from './words.js';

export class Groups {
  constructor(mostBytes) {
    this.mostBytes = mostBytes;
    this.patients = new Map();
    this.zips = [];
    this.unknown = [];
    this.leftOut = new Map();
  }

  /** Put a file, {place, name, size}, where it belongs by what was found in it. */
  add(entry, found) {
    if (found.kind === 'zip') this.zips.push(entry);
    else if (entry.size > this.mostBytes) this.leave(entry, 'large');
    else if (found.kind === 'unknown') this.unknown.push(entry);
    else if (found.kind !== 'dicom') this.leave(entry, found.kind);
    else {
      const { patient, study, series } = found;
      const whose = at(this.patients, `${patient.id}\0${patient.name}`, () => ({ ...patient, studies: new Map() }));
      const when = at(whose.studies, study.uid, () => ({ ...study, series: new Map() }));
      const which = at(when.series, series.uid, () => ({ ...series, entries: [], bytes: 0 }));
      which.entries.push(entry);
      which.bytes += entry.size;
    }
  }

  leave({ name }, kind) {
    at(this.leftOut, kind, () => []).push(name);
  }

  get studies() {
    return [...this.patients.values()].flatMap((patient) => [...patient.studies.values()].map((study) => ({ patient, study })));
  }

  /** Sentences about what stays behind, few however many files. */
  sentences() {
    return [...this.leftOut].map(([kind, names]) => {
      const shown = names.slice(0, 5).join(', ');
      if (names.length === 1) return say(`${kind}One`, { names: shown });
      const all = names.length > 5 ? say('andMore', { names: shown, count: number(names.length - 5) }) : shown;
      return say(`${kind}Many`, { names: all, count: number(names.length) });
    });
  }
}

function at(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

/** Whether the site can use such a series; others are listed, but not sent unless the person wants. */
export function isUsable(series) {
  return series.modality === 'MR' || series.modality === '';
}

/** "20240312" as people write it. */
export function day(text) {
  const found = /^(\d{4})\.?(\d{2})\.?(\d{2})$/.exec(text);
  if (!found) return '';
  const date = new Date(Date.UTC(Number(found[1]), Number(found[2]) - 1, Number(found[3])));
  return date.toLocaleDateString(document.documentElement.lang, { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });
}
