// Looks into one file: what it is, whose, and of which series. Used in the worker only.
import { ATTRIBUTES } from './attributes.js';
import { isZip, readHeader } from './header.js';

const FIRST_BYTES = 16 * 1024;
const MOST_BYTES = 4 * 1024 ** 2;
const DIRECTORY = '1.2.840.10008.1.3.10';

/** The header of a file up to a tag, from as few bytes as it needs; null if it is no DICOM file. */
async function headerOf(file, last) {
  for (let most = FIRST_BYTES; ; most *= 8) {
    const bytes = new Uint8Array(await file.slice(0, most).arrayBuffer());
    if (isZip(bytes)) return 'zip';
    const header = readHeader(bytes, last);
    if (!header?.short || most >= file.size || most >= MOST_BYTES) return header;
  }
}

/** What a file is: {kind, ...}. Never throws: what cannot be read is of the kind "unreadable". */
export async function look(file) {
  if (file.size === 0) return { kind: 'empty' };
  let header;
  try {
    header = await headerOf(file, 0x0020ffff);
  } catch {
    return { kind: 'unreadable' };
  }
  if (header === 'zip') return { kind: 'zip' };
  if (header === null) return { kind: 'other' };
  if (header.text(0x00020002) === DIRECTORY) return { kind: 'directory' };
  const study = header.text(0x0020000d);
  const series = header.text(0x0020000e);
  if (!study || !series) return { kind: 'unknown' };
  return {
    kind: 'dicom',
    patient: { id: header.text(0x00100020), name: personName(header.text(0x00100010)), born: header.text(0x00100030) },
    study: { uid: study, date: header.text(0x00080020), description: header.text(0x00081030) },
    series: {
      uid: series, number: header.text(0x00200011), description: header.text(0x0008103e), modality: header.text(0x00080060),
    },
  };
}

/** "DOE^JANE^^DR" as people write it. */
function personName(text) {
  const [family, given, middle, prefix] = text.split('=')[0].split('^').map((part) => part.trim());
  return [[prefix, family].filter(Boolean).join(' '), [given, middle].filter(Boolean).join(' ')].filter(Boolean).join(', ');
}

/** For the preview: rows of [tag, name, value in the file], the tags of the rest, and how many are private. */
export async function preview(file) {
  const header = await headerOf(file, 0x7fe0000f);
  if (header === 'zip' || header === null) return { rows: [], others: [], privateElements: 0 };
  const rows = ATTRIBUTES.map(([tag, name]) => [hexadecimal(tag), name, header.text(tag)]).filter(([, , value]) => value);
  const shown = new Set(rows.map(([tag]) => tag));
  const others = [...header.elements.keys()].filter((tag) => tag >>> 16 !== 2).map(hexadecimal).filter((tag) => !shown.has(tag));
  return { rows, others, privateElements: header.privateElements };
}

function hexadecimal(tag) {
  return tag.toString(16).toUpperCase().padStart(8, '0');
}
