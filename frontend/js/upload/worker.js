// Beside the page, so that the page stays quick: reads headers and packs files. Nothing that it
// reads goes anywhere but to the page.
import { look, preview } from './look.js';
import { pack } from './pack.js';

const AT_ONCE = 4;

async function lookAtAll(files) {
  const found = new Array(files.length);
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < files.length) {
      const mine = next;
      next += 1;
      found[mine] = await look(files[mine]);
    }
  }));
  return found;
}

const tasks = { look: lookAtAll, preview, pack };

self.addEventListener('message', async ({ data: { id, task, what } }) => {
  try {
    self.postMessage({ id, answer: await tasks[task](what) });
  } catch (problem) {
    self.postMessage({ id, problem: problem.message || 'unreadable' });
  }
});
