// What the scripts of the upload make of files, for the tests in Python: {task, files} on standard
// input, an answer as JSON or bytes.
import { openAsBlob, readFileSync } from 'node:fs';
import { ATTRIBUTES } from '../../frontend/js/upload/attributes.js';
import { readHeader } from '../../frontend/js/upload/header.js';
import { look, preview } from '../../frontend/js/upload/look.js';
import { pack } from '../../frontend/js/upload/pack.js';
import { parts } from '../../frontend/js/upload/parts.js';

const { task, files } = JSON.parse(readFileSync(0, 'utf8'));
if (task === 'look') {
  const found = [];
  for (const path of files) found.push(await look(await openAsBlob(path)));
  process.stdout.write(JSON.stringify(found));
} else if (task === 'preview') {
  process.stdout.write(JSON.stringify(await preview(await openAsBlob(files[0]))));
} else if (task === 'header') {
  const found = files.map((path) => {
    const header = readHeader(new Uint8Array(readFileSync(path)), 0x7fe0000f);
    return header && Object.fromEntries([...header.elements.keys()].map((tag) => [tag, header.text(tag)]));
  });
  process.stdout.write(JSON.stringify(found));
} else if (task === 'pack') {
  const members = [];
  for (const { path, name } of files) members.push({ name, file: await openAsBlob(path) });
  process.stdout.write(new Uint8Array(await (await pack(members)).arrayBuffer()));
} else if (task === 'parts') {
  const made = parts(files.map(({ size, name, archive }) => ({ name, archive, file: { size } })));
  process.stdout.write(JSON.stringify(made.map(({ members, packed }) => ({ packed, names: members.map(({ name }) => name) }))));
} else {
  process.stdout.write(JSON.stringify(ATTRIBUTES));
}
