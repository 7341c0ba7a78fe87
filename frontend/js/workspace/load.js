// A film with its maps as the server keeps it: see processing/frames.py for the layout.

const KINDS = { '<u2': Uint16Array, '<f4': Float32Array, '|u1': Uint8Array };

/** What came instead of a film: the person was signed out, or the study is no longer theirs. */
export class Ended extends Error {}

export async function load(address) {
  const answer = await fetch(address, { redirect: 'manual' });
  if (answer.type === 'opaqueredirect' || answer.status === 404 || answer.status === 403) throw new Ended();
  if (!answer.ok) throw new Error(String(answer.status));
  const stream = answer.body.pipeThrough(new DecompressionStream('gzip'));
  return decode(await new Response(stream).arrayBuffer());
}

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const { name, type, shape, at } of header.arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = new KINDS[type](buffer, 4 + length + at, count);
  }
  const [frames, rows, cols] = header.arrays[0].shape;
  return { frames, rows, cols, offset: header.offset, low: header.low, step: header.step, ...arrays };
}
