// Sends files in portions, two at a time, and tries a portion again when the line fails.

const MOST_FILES = 50;
const MOST_BYTES = 8 * 1024 ** 2;
const PARALLEL = 2;
const PAUSES_MS = [1000, 3000, 9000];

/** Why the upload stopped, in a sentence for the person. */
export class UploadProblem extends Error {}

export function portions(files) {
  const all = [];
  let portion = [];
  let bytes = 0;
  for (const entry of files) {
    if (portion.length && (portion.length === MOST_FILES || bytes + entry.file.size > MOST_BYTES)) {
      all.push(portion);
      portion = [];
      bytes = 0;
    }
    portion.push(entry);
    bytes += entry.file.size;
  }
  if (portion.length) all.push(portion);
  return all;
}

/** One upload. After a problem, run() goes on with what was not sent yet. */
export class Upload {
  constructor({ files, createUrl, token, onProgress }) {
    this.total = files.length;
    this.waiting = portions(files);
    this.createUrl = createUrl;
    this.token = token;
    this.onProgress = onProgress;
    this.sentFiles = 0;
    this.sentBytes = 0;
    this.urls = null;
  }

  /** Sends all and gives the address of the upload's page. */
  async run() {
    this.stop = new AbortController();
    this.urls ??= await this.post(this.createUrl, new FormData());
    try {
      await Promise.all(Array.from({ length: PARALLEL }, () => this.work()));
    } catch (problem) {
      this.stop.abort();
      throw problem;
    }
    const form = new FormData();
    form.append('sent', String(this.total));
    return (await this.post(this.urls.complete_url, form)).url;
  }

  async work() {
    for (let portion; (portion = this.waiting.shift()); ) {
      const form = new FormData();
      for (const { file, name } of portion) form.append('files', file, name);
      try {
        await this.post(this.urls.files_url, form);
      } catch (problem) {
        this.waiting.unshift(portion);
        throw problem;
      }
      this.sentFiles += portion.length;
      this.sentBytes += portion.reduce((sum, { file }) => sum + file.size, 0);
      this.onProgress(this);
    }
  }

  /** Takes back what was sent so far. */
  async withdraw() {
    this.stop?.abort();
    this.waiting = [];
    if (!this.urls) return;
    this.stop = new AbortController();
    await this.post(new URL('withdraw/', new URL(this.urls.url, window.location.href)), new FormData());
  }

  async post(url, body) {
    for (let attempt = 0; ; attempt += 1) {
      let response = null;
      try {
        response = await fetch(url, {
          method: 'POST',
          body,
          signal: this.stop.signal,
          headers: { Accept: 'application/json', 'X-CSRFToken': this.token },
        });
      } catch (failure) {
        if (this.stop.signal.aborted) throw failure;
      }
      if (response && response.status < 500 && response.status !== 429) return answer(response);
      if (attempt === PAUSES_MS.length) {
        throw new UploadProblem(response
          ? 'The server did not take the files. Try again in a few minutes; what was sent is kept.'
          : 'The connection was lost, or a file is no longer where it was. Check both and try again; what was sent is kept.');
      }
      await this.pause(PAUSES_MS[attempt]);
    }
  }

  pause(milliseconds) {
    const { signal } = this.stop;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, milliseconds);
      signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
    });
  }
}

async function answer(response) {
  const json = response.headers.get('Content-Type')?.startsWith('application/json');
  if (response.ok && json && !response.redirected) return response.json();
  const said = json ? await response.json() : {};
  if (said.message) throw new UploadProblem(said.message);
  if (response.redirected || response.status === 403) throw new UploadProblem('You have been signed out. Load this page again, sign in and send the folder again.');
  if (response.status === 404) throw new UploadProblem('This upload is no longer there. Load this page again and send the folder again.');
  if (response.status === 413) throw new UploadProblem('A file is larger than the server takes. Leave it out and send the rest again.');
  throw new UploadProblem('The server did not understand the upload. Load this page again and send the folder again.');
}
