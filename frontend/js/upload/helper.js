// The page's side of the worker: questions and their answers, and how far the sending is.

/** Something went wrong in the worker; told names a sentence for the person, holds one, or is empty. */
export class Problem extends Error {
  constructor(told = {}) {
    super(told.text ?? told.word);
    this.told = told;
  }
}

export class Helper {
  constructor(url, onProgress) {
    this.worker = new Worker(url, { type: 'module' });
    this.waiting = new Map();
    this.next = 0;
    this.worker.addEventListener('message', ({ data: { id, answer, problem, progress } }) => {
      if (progress) {
        onProgress(progress);
        return;
      }
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (problem === undefined) resolve(answer);
      else reject(new Problem(problem));
    });
    this.worker.addEventListener('error', () => {
      for (const { reject } of this.waiting.values()) reject(new Problem());
      this.waiting.clear();
    });
  }

  ask(task, what) {
    const id = this.next;
    this.next += 1;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, task, what });
    });
  }
}
