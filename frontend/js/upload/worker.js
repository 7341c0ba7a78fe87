// Beside the page, so that the page stays quick: reads headers, packs files and sends them. What
// it reads of a header goes to the page only.
import { look, preview } from './look.js';
import { Upload, UploadProblem } from './send.js';

const AT_ONCE = 4;
const PROGRESS_MS = 100;

let held = [];
let upload = null;
let told = 0;

const tasks = {
  /** Takes some of the chosen files, from place `first` on, and tells what each of them is. */
  async look({ entries, first }) {
    if (first === 0) held = [];
    const found = new Array(entries.length);
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < entries.length) {
        const mine = next;
        next += 1;
        found[mine] = { ...await look(entries[mine].file), size: entries[mine].file.size };
        held[first + mine] = { ...entries[mine], archive: found[mine].kind === 'zip' };
      }
    }));
    return found;
  },

  preview: (place) => preview(held[place].file),

  /** Sends the files at these places; with `again` it goes on with what is left of the last time. */
  async send({ places, again, createUrl, token }) {
    if (!again || !upload) {
      const entries = places.map((place) => held[place]);
      upload = new Upload({ entries, createUrl, token, onProgress: tell });
    }
    tell(upload, true);
    return upload.run();
  },

  async withdraw() {
    const mine = upload;
    upload = null;
    await mine?.withdraw();
  },
};

/** How far it is, for the page; more often than it can be seen would only keep the page busy. */
function tell({ sentFiles, sentBytes, total, bytes, resumedFiles }, now = false) {
  if (!now && performance.now() - told < PROGRESS_MS) return;
  told = performance.now();
  self.postMessage({ progress: { sentFiles, sentBytes, total, bytes, resumedFiles } });
}

self.addEventListener('message', async ({ data: { id, task, what } }) => {
  try {
    self.postMessage({ id, answer: await tasks[task](what) });
  } catch (problem) {
    self.postMessage({ id, problem: problem instanceof UploadProblem ? problem.told : {} });
  }
});
