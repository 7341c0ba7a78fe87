// The page's side of the worker: questions and their answers.

export class Helper {
  constructor(url) {
    this.worker = new Worker(url, { type: 'module' });
    this.waiting = new Map();
    this.next = 0;
    this.worker.addEventListener('message', ({ data: { id, answer, problem } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (problem === undefined) resolve(answer);
      else reject(new Error(problem));
    });
    this.worker.addEventListener('error', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('worker'));
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
