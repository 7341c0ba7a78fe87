// In which parts files are sent: small ones together, large ones and archives by themselves.

const PACK_BYTES = 32 * 1024 ** 2;
const PACK_FILES = 500;
const LARGE_BYTES = 8 * 1024 ** 2;

/** The parts that files are sent in: [{members, bytes, packed}], the same for the same files. */
export function parts(entries) {
  const all = [];
  let small = [];
  let bytes = 0;
  const close = () => {
    if (small.length) all.push({ members: small, bytes, packed: small.length > 1 });
    small = [];
    bytes = 0;
  };
  for (const entry of entries) {
    const { size } = entry.file;
    if (entry.archive || size > LARGE_BYTES) all.push({ members: [entry], bytes: size, packed: false });
    else {
      if (small.length === PACK_FILES || bytes + size > PACK_BYTES) close();
      small.push(entry);
      bytes += size;
    }
  }
  close();
  return all;
}
