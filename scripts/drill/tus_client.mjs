// Sends files by tus-js-client, as a program would: a request on standard input, progress as lines.
// {endpoint, headers, files: [{path, name}], parallel, chunkBytes}
import { createReadStream, statSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Upload } from 'tus-js-client';

const request = JSON.parse(await text(process.stdin));
const waiting = [...request.files];
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function work() {
  for (let file; (file = waiting.shift()); ) {
    await new Promise((resolve, reject) => {
      new Upload(createReadStream(file.path), {
        endpoint: request.endpoint,
        headers: request.headers,
        chunkSize: request.chunkBytes,
        uploadSize: statSync(file.path).size,
        retryDelays: [0, 100, 200, 500, 1000, 2000, 4000, 8000, 8000, 8000],
        metadata: { filename: file.name, fingerprint: file.fingerprint },
        onShouldRetry: (error) => {
          const status = error.originalResponse?.getStatus() ?? 0;
          say({ retry: status });
          return status === 0 || status === 409 || status === 423 || status >= 500;
        },
        onProgress: (bytes) => say({ name: file.name, bytes }),
        onSuccess: resolve,
        onError: reject,
      }).start();
    });
    say({ name: file.name, done: true });
  }
}

await Promise.all(Array.from({ length: request.parallel }, work));
