// Many small files become one ZIP archive, stored and not compressed: one request instead of
// hundreds. The same files give the same bytes, so that an interrupted sending can go on.

const TABLE = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
const FIRST_OF_JANUARY_1980 = 0x0021;
const UTF8_NAME = 0x0800;

export function crc32(bytes) {
  let value = 0xffffffff;
  for (let at = 0; at < bytes.length; at += 1) value = TABLE[(value ^ bytes[at]) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** A file that could not be read any more. */
export class Unreadable extends Error {}

/** The archive of [{file, name}] as a Blob. Each file is read once, and is then in the Blob. */
export async function pack(members) {
  const pieces = [];
  const directory = [];
  let at = 0;
  for (const { file, name } of members) {
    let bytes;
    try {
      bytes = new Uint8Array(await file.arrayBuffer());
    } catch {
      throw new Unreadable(name);
    }
    const encoded = new TextEncoder().encode(name);
    const entry = { encoded, crc: crc32(bytes), size: bytes.length, at };
    const header = local(entry);
    pieces.push(header, bytes);
    directory.push(central(entry));
    at += header.length + bytes.length;
  }
  const size = directory.reduce((sum, entry) => sum + entry.length, 0);
  return new Blob([...pieces, ...directory, end(directory.length, size, at)], { type: 'application/zip' });
}

function local({ encoded, crc, size }) {
  const view = new DataView(new ArrayBuffer(30));
  view.setUint32(0, 0x04034b50, true);
  common(view, 4, crc, size, encoded.length);
  return joined(view, encoded);
}

function central({ encoded, crc, size, at }) {
  const view = new DataView(new ArrayBuffer(46));
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(4, 20, true);
  common(view, 6, crc, size, encoded.length);
  view.setUint32(42, at, true);
  return joined(view, encoded);
}

/** What both headers of a file have: version, flags, method, time, CRC-32, sizes, length of name. */
function common(view, at, crc, size, nameLength) {
  view.setUint16(at, 20, true);
  view.setUint16(at + 2, UTF8_NAME, true);
  view.setUint16(at + 8, FIRST_OF_JANUARY_1980, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, size, true);
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, nameLength, true);
}

function end(count, size, at) {
  const view = new DataView(new ArrayBuffer(22));
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, size, true);
  view.setUint32(16, at, true);
  return new Uint8Array(view.buffer);
}

function joined(view, encoded) {
  const bytes = new Uint8Array(view.byteLength + encoded.length);
  bytes.set(new Uint8Array(view.buffer));
  bytes.set(encoded, view.byteLength);
  return bytes;
}
