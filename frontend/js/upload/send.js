// Sends files by tus 1.0, small ones packed together, three at a time; goes on where a lost line,
// a lost server or an earlier visit to the page left off. Used in the worker only.
import { Upload as TusUpload } from 'tus-js-client';
import { pack } from './pack.js';
import { parts } from './parts.js';

const CHUNK_BYTES = 8 * 1024 ** 2;
const PARALLEL = 3;
const PAUSES_MS = [0, 1000, 3000, 5000, 10000, 20000, 30000];
/** What may pass by itself: a lost line, another window's lock, a damaged piece, a busy server. */
const PASSING = new Set([0, 409, 423, 429, 460, 500, 502, 503, 504]);

/** Why the upload stopped: the name of a sentence, or the text of one that the site said. */
export class UploadProblem extends Error {
  constructor(told) {
    super(told.text ?? told.word);
    this.told = told;
  }
}

/** SHA-256 in hexadecimal; "" where the browser has none, on a site without TLS. */
async function digest(text) {
  if (!globalThis.crypto?.subtle) return '';
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One upload. After a problem, run() goes on with what was not sent yet. */
export class Upload {
  constructor({ entries, createUrl, token, onProgress }) {
    this.total = entries.length;
    this.waiting = parts(entries);
    this.all = [...this.waiting];
    this.bytes = this.all.reduce((sum, part) => sum + part.bytes, 0);
    this.createUrl = createUrl;
    this.token = token;
    this.onProgress = onProgress;
    this.urls = null;
    this.resumedFiles = 0;
    this.running = new Set();
  }

  get sentFiles() {
    return this.all.reduce((sum, part) => sum + filesSent(part), 0);
  }

  get sentBytes() {
    return this.all.reduce((sum, part) => sum + Math.min(part.sent ?? 0, part.bytes), 0);
  }

  /** Sends all; gives the address of the upload’s page and how many files the site has stored. */
  async run() {
    this.stop = new AbortController();
    this.urls ??= await this.begin();
    try {
      await Promise.all(Array.from({ length: PARALLEL }, () => this.work()));
    } catch (problem) {
      this.halt();
      throw problem;
    }
    const form = new FormData();
    form.append('sent', String(this.total));
    return this.post(this.urls.complete_url, form);
  }

  /** Starts the upload, or finds the one that an earlier visit with the same files began. */
  async begin() {
    for (const part of this.all) {
      const members = part.members.map(({ file, name }) => `${name}\0${file.size}\0${file.lastModified}`);
      part.fingerprint = await digest([part.packed ? 'packed' : 'single', ...members].join('\n'));
    }
    const form = new FormData();
    form.append('manifest', await digest(this.all.map(({ fingerprint }) => fingerprint).join('\n')));
    const urls = await this.post(this.createUrl, form);
    const known = new Map(urls.parts.map((part) => [part.fingerprint, part]));
    for (const part of this.all) {
      const there = part.fingerprint && known.get(part.fingerprint);
      if (!there) continue;
      part.url = there.url;
      if (there.stored) this.finished(part);
    }
    this.waiting = this.all.filter((part) => !part.stored);
    this.resumedFiles = this.sentFiles;
    this.onProgress(this, true);
    return urls;
  }

  async work() {
    for (let part; (part = this.waiting.shift()); ) {
      try {
        await this.send(part);
      } catch (problem) {
        this.waiting.unshift(part);
        throw problem;
      }
    }
  }

  async send(part) {
    const [first] = part.members;
    const blob = part.packed ? await this.packed(part) : first.file;
    this.stop.signal.throwIfAborted();
    const members = part.packed ? part.members.length : 1;
    const name = part.packed ? `packet-${this.all.indexOf(part) + 1}.zip` : first.name;
    await new Promise((resolve, reject) => {
      const tus = new TusUpload(blob, {
        endpoint: new URL(this.urls.parts_url, self.location.href).href,
        uploadUrl: part.url ? new URL(part.url, self.location.href).href : null,
        chunkSize: CHUNK_BYTES,
        retryDelays: PAUSES_MS,
        storeFingerprintForResuming: false,
        headers: { 'X-CSRFToken': this.token, Accept: 'application/json' },
        metadata: { filename: name, members: String(members), fingerprint: part.fingerprint },
        onBeforeRequest: (request) => checksum(request, blob),
        onShouldRetry: (error) => PASSING.has(error.originalResponse?.getStatus() ?? 0),
        onProgress: (sent) => { part.sent = sent; this.onProgress(this); },
        onUploadUrlAvailable: () => { part.url = tus.url; },
        onSuccess: resolve,
        onError: (error) => reject(asProblem(error)),
      });
      part.abort = () => { tus.abort(); reject(this.stop.signal.reason); };
      this.running.add(part);
      tus.start();
    }).finally(() => this.running.delete(part));
    this.finished(part);
    this.onProgress(this);
  }

  finished(part) {
    part.stored = true;
    part.sent = part.bytes;
  }

  async packed(part) {
    try {
      return await pack(part.members);
    } catch (problem) {
      throw new UploadProblem({ word: 'gone', values: { name: problem.message } });
    }
  }

  halt() {
    this.stop?.abort();
    for (const part of this.running) part.abort();
  }

  /** Takes back what was sent so far. */
  async withdraw() {
    this.halt();
    this.waiting = [];
    if (!this.urls) return;
    this.stop = new AbortController();
    await this.post(this.urls.withdraw_url, new FormData());
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
      if (response && !PASSING.has(response.status)) return answer(response);
      if (attempt === PAUSES_MS.length - 1) throw new UploadProblem(sentence(response?.status ?? 0));
      await this.pause(PAUSES_MS[attempt + 1]);
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

/** Files of a part of which every byte has gone out. */
function filesSent(part) {
  if (part.stored) return part.members.length;
  let count = 0;
  for (let bytes = 0; count < part.members.length; count += 1) {
    bytes += part.members[count].file.size;
    if (bytes > (part.sent ?? 0)) break;
  }
  return Math.min(count, part.members.length - 1);
}

/** Each piece goes with its SHA-256, so that the site can tell whether it came as it was sent. */
async function checksum(request, blob) {
  if (request.getMethod() !== 'PATCH' || !globalThis.crypto?.subtle) return;
  const at = Number(request.getHeader('Upload-Offset'));
  const bytes = await blob.slice(at, at + CHUNK_BYTES).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  request.setHeader('Upload-Checksum', `sha256 ${btoa(String.fromCharCode(...hash))}`);
}

function asProblem(error) {
  const response = error.originalResponse;
  if (!response) return new UploadProblem(sentence(0));
  try {
    const { message } = JSON.parse(response.getBody());
    if (message) return new UploadProblem({ text: message });
  } catch {
    // A page instead of data: its status says enough.
  }
  return new UploadProblem(sentence(response.getStatus()));
}

async function answer(response) {
  const json = response.headers.get('Content-Type')?.startsWith('application/json');
  if (response.ok && json && !response.redirected) return response.json();
  const said = json ? await response.json() : {};
  if (said.message) throw new UploadProblem({ text: said.message });
  throw new UploadProblem(sentence(response.redirected ? 403 : response.status));
}

function sentence(status) {
  if (status === 0) return { word: 'lost' };
  if (status === 403 || status === 405) return { word: 'signedOut' };
  if (status === 404 || status === 410) return { word: 'notThere' };
  if (status === 413) return { word: 'tooLarge' };
  return { word: PASSING.has(status) ? 'notTaken' : 'notUnderstood' };
}
