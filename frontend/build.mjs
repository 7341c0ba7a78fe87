// Builds static/build/ from frontend/ and nhsuk-frontend. `--watch` builds again at every change.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const checkout = dirname(dirname(fileURLToPath(import.meta.url)));
const nhs = join(checkout, 'node_modules', 'nhsuk-frontend', 'dist', 'nhsuk');
const out = join(checkout, 'static', 'build');
const icons = ['arrow-down', 'arrow-up', 'arrow-up-down', 'cross'];

/** The NHS style sheet without its licensed web font, and with its icons beside it. */
async function nhsStyles() {
  const css = (await readFile(join(nhs, 'nhsuk-frontend.min.css'), 'utf8'))
    .replace(/@font-face\{[^}]*\}/g, '')
    .replaceAll('Frutiger W01,', '')
    .replaceAll('url(/assets/images/', 'url(nhsuk/')
    // The line would make a manifest of static files look for a file that is not served.
    .replace(/\/\*# sourceMappingURL=.*?\*\//g, '');
  const outside = css.match(/url\((?!nhsuk\/|data:|"data:|'data:)[^)]*\)/);
  if (outside) throw new Error(`nhsuk-frontend refers to ${outside[0]}: mend frontend/build.mjs`);
  return css;
}

async function copyNhs() {
  await mkdir(join(out, 'nhsuk'), { recursive: true });
  await writeFile(join(out, 'nhsuk.css'), await nhsStyles());
  for (const icon of icons) {
    const name = `nhsuk-icon-${icon}.svg`;
    await cp(join(nhs, 'assets', 'images', name), join(out, 'nhsuk', name));
  }
}

const options = {
  absWorkingDir: checkout,
  entryPoints: {
    app: 'frontend/js/app.js',
    upload: 'frontend/js/upload.js',
    'upload-worker': 'frontend/js/upload/worker.js',
    proof: 'frontend/js/proof.js',
    study: 'frontend/js/study.js',
    curves: 'frontend/js/curves.js',
    workspace: 'frontend/js/workspace.js',
    site: 'frontend/css/site.css',
    admin: 'frontend/css/admin.css',
    report: 'frontend/css/report.css',
    'workspace-look': 'frontend/css/workspace.css',
  },
  outdir: out,
  bundle: true,
  // tus-js-client asks for the window, which a worker does not have.
  define: { window: 'globalThis' },
  format: 'esm',
  minify: true,
  legalComments: 'none',
  target: ['chrome111', 'edge111', 'firefox115', 'safari16.4'],
  logLevel: 'info',
};

await rm(out, { recursive: true, force: true });
await copyNhs();
if (process.argv.includes('--watch')) {
  await (await esbuild.context(options)).watch();
} else {
  await esbuild.build(options);
}
