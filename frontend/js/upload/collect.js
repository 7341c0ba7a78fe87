// From a drop or a file input to the list of files that will be sent.
import { say } from './words.js';

const SYSTEM_FILES = new Set(['.ds_store', 'thumbs.db', 'desktop.ini']);

/** All files of a drop, folders searched to the bottom: [{file, path}]. */
export async function fromDrop(transfer) {
  // Entries must be taken before the first await: the browser empties the list after the event.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return fromList(transfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

export function fromList(files) {
  return [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

async function walk(entry, found) {
  const path = entry.fullPath.replace(/^\//, '');
  if (entry.isFile) {
    found.push(await new Promise((resolve) => {
      entry.file((file) => resolve({ file, path }), () => resolve({ file: null, path }));
    }));
    return;
  }
  const reader = entry.createReader();
  // A reader gives its entries in portions, of 100 in Chromium, and an empty one at the end.
  for (;;) {
    const portion = await new Promise((resolve) => { reader.readEntries(resolve, () => resolve([])); });
    if (portion.length === 0) return;
    for (const child of portion) await walk(child, found);
  }
}

/**
 * What is looked into and what stays behind: {files: [{file, name}], leftOut: [sentence]}.
 * Every name occurs once, so that each file can be told from the others and counted. Sizes are
 * not asked here: the page would wait for the disk.
 */
export function prepare(found) {
  const files = [];
  const leftOut = [];
  const taken = new Set();
  let system = 0;
  // In one order whatever the browser's, so that the same folder is the same again.
  const sorted = [...found].sort((one, other) => (one.path < other.path ? -1 : 1));
  for (const { file, path } of sorted) {
    const name = path.split('/').pop();
    if (path.includes('__MACOSX/') || SYSTEM_FILES.has(name.toLowerCase())) system += 1;
    else if (!file) leftOut.push(say('notReadable', { name }));
    else files.push({ file, name: unique(path, taken) });
  }
  if (system) leftOut.push(say(system === 1 ? 'systemFile' : 'systemFiles', { count: system }));
  return { files, leftOut };
}

function unique(path, taken) {
  const parts = path.split('/');
  let name = parts.pop();
  // Exports often repeat a name in each folder: the folder's name tells them apart.
  while (taken.has(name) && parts.length) name = `${parts.pop()} ${name}`;
  const stem = name;
  for (let copy = 2; taken.has(name); copy += 1) name = `${stem} (${copy})`;
  taken.add(name);
  return name;
}

export function megabytes(bytes) {
  const value = bytes ? Math.max(0.1, bytes / 1024 ** 2) : 0;
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}
