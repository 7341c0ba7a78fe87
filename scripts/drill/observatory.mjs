// One line of JSON for each page: what MDN's HTTP Observatory says of the answers it gives.
// node observatory.mjs PACKAGE CASES, where CASES is a file of {host, httpPort, httpsPort, pages},
// each page {path, cookie}.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , packageFolder, cases] = process.argv;
const load = (name) => import(pathToFileURL(join(packageFolder, 'src', name)).href);
const [{ retrieve }, { ALL_TESTS }, grader, { MINIMUM_SCORE_FOR_EXTRA_CREDIT }] = await Promise.all([
  load('retriever/retriever.js'),
  load('constants.js'),
  load('grader/grader.js'),
  load('grader/charts.js'),
]);

const { host, httpPort, httpsPort, pages } = JSON.parse(readFileSync(cases, 'utf8'));
for (const { path, cookie } of pages) {
  const headers = ['Accept: text/html', ...(cookie ? [`Cookie: ${cookie}`] : [])];
  const answers = await retrieve(host, { httpPort, httpsPort, path, headers });
  const results = ALL_TESTS.map((test) => test(answers)).filter((one) => one.result);
  // As the package's own `scan` counts, which looks at one address of a site alone.
  const changes = results.map((one) => grader.getScoreModifier(one.result));
  const least = 100 + changes.filter((one) => one < 0).reduce((sum, one) => sum + one, 0);
  const all = 100 + changes.reduce((sum, one) => sum + one, 0);
  const score = least >= MINIMUM_SCORE_FOR_EXTRA_CREDIT ? all : least;
  console.log(
    JSON.stringify({
      path,
      status: answers.responses.auto?.status ?? 0,
      score,
      grade: grader.getGradeForScore(score).grade,
      failed: results.filter((one) => !one.pass).map((one) => one.result),
    }),
  );
}
