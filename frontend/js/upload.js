// The upload on the home page: choose or drop, look at the count, send, go to the upload's page.
import { fromDrop, fromList, megabytes, prepare } from './upload/collect.js';
import { Upload, UploadProblem } from './upload/send.js';

const section = document.getElementById('upload');
const by = (id) => document.getElementById(id);
const veil = by('drop-veil');
let chosen = null;
let upload = null;

function stage(name) {
  for (const part of section.querySelectorAll('[data-stage]')) part.hidden = part.dataset.stage !== name;
}

function complain(sentence) {
  const summary = by('upload-error-template').content.firstElementChild.cloneNode(true);
  summary.querySelector('p').textContent = sentence;
  by('upload-errors').replaceChildren(summary);
  summary.focus();
}

function files(count) {
  return count === 1 ? '1 file' : `${count.toLocaleString('en-GB')} files`;
}

function choose(found) {
  by('upload-errors').replaceChildren();
  chosen = prepare(found, Number(section.dataset.maxFileBytes));
  if (chosen.files.length === 0) {
    stage('choose');
    complain(['There is no file to send in what you chose. Choose the folder that holds the study’s DICOM files.', ...chosen.leftOut.slice(0, 3)].join(' '));
    return;
  }
  by('upload-chosen').textContent = `${files(chosen.files.length)} chosen, ${megabytes(chosen.bytes)} MB`;
  const names = chosen.files.slice(0, 3).map(({ name }) => name).join(', ');
  by('upload-examples').textContent = chosen.files.length > 3 ? `${names} and ${chosen.files.length - 3} more` : names;
  const shown = chosen.leftOut.slice(0, 5);
  if (chosen.leftOut.length > 5) shown.push(`${chosen.leftOut.length - 5} more are left out.`);
  by('upload-left-out').replaceChildren(...shown.map((sentence) => Object.assign(document.createElement('li'), { textContent: sentence })));
  by('upload-send').textContent = `Upload ${files(chosen.files.length)}`;
  upload = null;
  stage('ready');
  by('upload-chosen').focus();
}

function showProgress({ sentFiles, sentBytes, total }) {
  by('upload-count').textContent = `${sentFiles.toLocaleString('en-GB')} of ${files(total)} sent`;
  by('upload-bytes').textContent = `${megabytes(sentBytes)} of ${megabytes(chosen.bytes)} MB`;
  const bar = by('upload-progress');
  const before = Math.floor(bar.value / 25);
  bar.value = total ? (100 * sentFiles) / total : 0;
  // Said at every quarter only: a reader of the screen would hear nothing else otherwise.
  if (Math.floor(bar.value / 25) > before) by('upload-status').textContent = by('upload-count').textContent;
}

function warn(event) {
  event.preventDefault();
}

async function send() {
  by('upload-errors').replaceChildren();
  upload ??= new Upload({
    files: chosen.files,
    createUrl: section.dataset.createUrl,
    token: section.querySelector('[name=csrfmiddlewaretoken]').value,
    onProgress: showProgress,
  });
  const mine = upload;
  stage('sending');
  showProgress(mine);
  by('upload-sending').focus();
  window.addEventListener('beforeunload', warn);
  try {
    const url = await mine.run();
    window.removeEventListener('beforeunload', warn);
    window.location.assign(url);
  } catch (problem) {
    window.removeEventListener('beforeunload', warn);
    if (upload !== mine) return;
    stage('ready');
    by('upload-send').textContent = mine.sentFiles ? 'Go on sending' : 'Try again';
    complain(problem instanceof UploadProblem ? problem.message : 'The files could not be sent. Load this page again and try once more.');
  }
}

async function cancel() {
  const mine = upload;
  upload = null;
  if (mine) by('upload-status').textContent = 'The upload was cancelled.';
  stage('choose');
  try {
    await mine?.withdraw();
  } catch {
    // The server clears away what was never completed.
  }
}

if (section) {
  const sending = () => !section.querySelector('[data-stage=sending]').hidden;
  for (const kind of ['folder', 'files']) {
    const input = by(`upload-${kind}`);
    by(`choose-${kind}`).addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      if (input.files.length) choose(fromList(input.files));
      input.value = '';
    });
  }
  by('upload-send').addEventListener('click', send);
  by('upload-again').addEventListener('click', () => { cancel(); by('choose-folder').focus(); });
  by('upload-cancel').addEventListener('click', () => { cancel(); by('choose-folder').focus(); });

  let depth = 0;
  const holdsFiles = (event) => event.dataTransfer?.types.includes('Files') && !sending();
  document.addEventListener('dragenter', (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth += 1;
    veil.hidden = false;
  });
  document.addEventListener('dragleave', () => {
    depth = Math.max(0, depth - 1);
    veil.hidden = depth === 0;
  });
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    if (!holdsFiles(event)) return;
    by('upload-status').textContent = 'Reading the folder';
    choose(await fromDrop(event.dataTransfer));
  });
}
