// A small reader of DICOM headers, for what this page tells of files before they are sent.
// It reads plain elements of the top level and steps over sequences; it never reads pixels.

const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const PIXELS = 0x7fe00010;
const DEEPEST = 16;
const IMPLICIT = '1.2.840.10008.1.2';
const BIG_ENDIAN = '1.2.840.10008.1.2.2';
const DEFLATED = '1.2.840.10008.1.2.1.99';
const CHARACTER_SETS = {
  '': 'windows-1252', 'ISO_IR 6': 'windows-1252', 'ISO_IR 100': 'windows-1252', 'ISO_IR 101': 'iso-8859-2',
  'ISO_IR 109': 'iso-8859-3', 'ISO_IR 110': 'iso-8859-4', 'ISO_IR 144': 'iso-8859-5', 'ISO_IR 127': 'iso-8859-6',
  'ISO_IR 126': 'iso-8859-7', 'ISO_IR 138': 'iso-8859-8', 'ISO_IR 148': 'windows-1254', 'ISO_IR 166': 'windows-874',
  'ISO_IR 192': 'utf-8', GB18030: 'gb18030', GBK: 'gbk', 'ISO_IR 13': 'shift_jis',
  'ISO 2022 IR 13': 'shift_jis', 'ISO 2022 IR 87': 'iso-2022-jp', 'ISO 2022 IR 149': 'euc-kr', 'ISO 2022 IR 58': 'gb2312',
};

/** The bytes end before the element does. */
class Short extends Error {}
/** The bytes are no DICOM from here on. */
class Wrong extends Error {}

/**
 * The elements of the top level up to the tag `last`, or null if this is no DICOM file.
 * `short`: the bytes ended before; with more of the file there would be more. `readable` is false
 * where the rest is compressed or makes no sense.
 */
export function readHeader(bytes, last) {
  const start = beginning(bytes);
  if (start === null) return null;
  const header = new Header(bytes);
  header.read(start, last);
  return header;
}

export function isZip(bytes) {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && ((bytes[2] === 3 && bytes[3] === 4) || (bytes[2] === 5 && bytes[3] === 6));
}

/** Where the elements begin: behind the preamble, or at once in an old export without one. */
function beginning(bytes) {
  if (bytes.length >= 132 && String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM') return 132;
  if (bytes.length < 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const group = view.getUint16(0, true);
  if ((group !== 0x0002 && group !== 0x0008) || view.getUint16(2, true) > 0x0100) return null;
  return isVr(bytes, 4) || view.getUint32(4, true) < 1024 ? 0 : null;
}

function isVr(bytes, at) {
  return [at, at + 1].every((place) => bytes[place] >= 65 && bytes[place] <= 90);
}

class Header {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.elements = new Map();
    this.privateElements = 0;
    this.short = false;
    this.readable = true;
    this.little = true;
    this.explicit = true;
  }

  read(start, last) {
    try {
      let at = this.readMeta(start);
      const syntax = this.text(0x00020010);
      if (syntax === DEFLATED) {
        this.readable = false;
        return;
      }
      this.little = syntax !== BIG_ENDIAN;
      this.explicit = syntax ? syntax !== IMPLICIT : at + 6 <= this.bytes.length && isVr(this.bytes, at + 4);
      while (at < this.bytes.length) {
        const element = this.element(at);
        if (element.tag > last || element.tag === PIXELS) return;
        at = this.past(element, 0);
        this.keep(element);
      }
      this.short = true;
    } catch (problem) {
      if (problem instanceof Short) this.short = true;
      else if (problem instanceof Wrong) this.readable = false;
      else throw problem;
    }
  }

  /** The file meta information, always explicit and little endian; gives where it ends. */
  readMeta(start) {
    let at = start;
    while (at + 2 <= this.bytes.length && this.view.getUint16(at, true) === 0x0002) {
      const element = this.element(at);
      at = this.past(element, 0);
      this.keep(element);
    }
    return at;
  }

  keep(element) {
    if ((element.tag >>> 16) % 2 === 1) this.privateElements += 1;
    else if (element.length !== UNDEFINED && !this.elements.has(element.tag)) this.elements.set(element.tag, element);
  }

  need(end) {
    if (end > this.bytes.length) throw new Short();
  }

  /** The element at a place: its tag, VR, length, and where its value begins. */
  element(at, explicit = this.explicit) {
    this.need(at + 8);
    const tag = this.view.getUint16(at, this.little) * 0x10000 + this.view.getUint16(at + 2, this.little);
    if (tag === ITEM || tag === ITEM_END || tag === SEQUENCE_END || !explicit) {
      return { tag, vr: '', value: at + 8, length: this.view.getUint32(at + 4, this.little) };
    }
    if (!isVr(this.bytes, at + 4)) throw new Wrong();
    const vr = String.fromCharCode(this.bytes[at + 4], this.bytes[at + 5]);
    if (!LONG.has(vr)) return { tag, vr, value: at + 8, length: this.view.getUint16(at + 6, this.little) };
    this.need(at + 12);
    return { tag, vr, value: at + 12, length: this.view.getUint32(at + 8, this.little) };
  }

  /** The place behind an element. */
  past(element, depth) {
    if (element.length !== UNDEFINED) {
      const end = element.value + element.length;
      this.need(end);
      return end;
    }
    if (depth > DEEPEST) throw new Wrong();
    // Inside an element of unknown type of undefined length all is implicit.
    const explicit = this.explicit && element.vr !== 'UN';
    for (let at = element.value; ; ) {
      const item = this.element(at, explicit);
      if (item.tag === SEQUENCE_END) return item.value;
      if (item.tag !== ITEM) throw new Wrong();
      at = item.length === UNDEFINED ? this.pastItem(item.value, explicit, depth) : this.past(item, depth);
    }
  }

  pastItem(start, explicit, depth) {
    for (let at = start; ; ) {
      const element = this.element(at, explicit);
      if (element.tag === ITEM_END) return element.value;
      if (element.length === UNDEFINED && depth + 1 > DEEPEST) throw new Wrong();
      at = this.past(element, depth + 1);
    }
  }

  /** The value of an element as text, without its padding; "" where there is none. */
  text(tag) {
    const element = this.elements.get(tag);
    if (!element || element.length === 0) return '';
    const bytes = this.bytes.subarray(element.value, element.value + Math.min(element.length, 1024));
    return this.decoder(tag).decode(bytes).replace(/[\0 ]+$/, '').trim();
  }

  decoder(tag) {
    if (tag === 0x00020010 || tag === 0x00080005) return new TextDecoder('windows-1252');
    this.decoded ??= new TextDecoder(characterSet(this.text(0x00080005)));
    return this.decoded;
  }
}

function characterSet(names) {
  const known = names.split('\\').map((name) => CHARACTER_SETS[name.trim()]).filter(Boolean);
  return known.at(-1) ?? 'windows-1252';
}
