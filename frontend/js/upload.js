// The upload on the home page: choose or drop, look at what is in it, send, go to the upload's page.
import { fromDrop, fromList, megabytes, prepare } from './upload/collect.js';
import { Groups } from './upload/groups.js';
import { Helper } from './upload/helper.js';
import { List, files } from './upload/list.js';
import { Upload, UploadProblem } from './upload/send.js';

const READ_AT_ONCE = 50;

const section = document.getElementById('upload');
const by = (id) => document.getElementById(id);
const veil = by('drop-veil');
let helper = null;
let list = null;
let upload = null;
let reading = 0;

function stage(name) {
  for (const part of section.querySelectorAll('[data-stage]')) part.hidden = part.dataset.stage !== name;
}

function complain(sentence) {
  const summary = by('upload-error-template').content.firstElementChild.cloneNode(true);
  summary.querySelector('p').textContent = sentence;
  by('upload-errors').replaceChildren(summary);
  summary.focus();
}

function say(sentence) {
  by('upload-status').textContent = sentence;
}

/** Look into all files, listed as they are: nothing has been sent when this ends. */
async function choose(found) {
  by('upload-errors').replaceChildren();
  upload = null;
  const mine = (reading += 1);
  const chosen = prepare(found, Number(section.dataset.maxFileBytes));
  if (chosen.files.length === 0) {
    stage('choose');
    complain(['There is no file to send in what you chose. Choose the folder that holds the study’s DICOM files.', ...chosen.leftOut.slice(0, 3)].join(' '));
    return;
  }
  stage('reading');
  say('Reading the files’ headers');
  helper ??= new Helper(section.dataset.workerUrl);
  const groups = new Groups();
  for (let at = 0; at < chosen.files.length; at += READ_AT_ONCE) {
    by('upload-read').textContent = `${at.toLocaleString('en-GB')} of ${files(chosen.files.length)} read`;
    by('upload-reading').value = (100 * at) / chosen.files.length;
    const some = chosen.files.slice(at, at + READ_AT_ONCE);
    const kinds = await helper.ask('look', some.map(({ file }) => file));
    if (mine !== reading) return;
    some.forEach((entry, index) => groups.add({ ...entry, archive: kinds[index].kind === 'zip' }, kinds[index]));
  }
  show(groups, chosen.leftOut);
}

function show(groups, leftOut) {
  const sentences = [...groups.sentences(), ...leftOut.slice(0, 5)];
  if (leftOut.length > 5) sentences.push(`${leftOut.length - 5} more are left out.`);
  by('upload-left-out').replaceChildren(...sentences.map((sentence) => Object.assign(document.createElement('li'), { textContent: sentence })));
  list = new List(by('upload-groups'), groups, counted);
  if (list.boxes.length === 0) {
    stage('choose');
    complain(['There is no DICOM file in what you chose. Choose the folder that holds the study’s images.', ...sentences.slice(0, 3)].join(' '));
    return;
  }
  const { studies } = groups;
  by('upload-several').hidden = studies.length < 2;
  by('upload-several-text').textContent = groups.patients.size > 1
    ? `These files are of ${groups.patients.size} patients. Leave out those that are not meant.`
    : `These files are of ${studies.length} examinations of one patient. Leave out those that are not meant.`;
  prepareExamples();
  counted();
  stage('ready');
  say('');
  by('upload-chosen').focus();
}

/** What is chosen, in the heading and on the button, whenever a box is ticked or not. */
function counted() {
  upload = null;
  const entries = list.chosen;
  const bytes = entries.reduce((sum, { file }) => sum + file.size, 0);
  by('upload-chosen').textContent = `${files(entries.length)} chosen, ${megabytes(bytes)} MB`;
  by('upload-send').textContent = `Upload ${files(entries.length)}`;
}

function prepareExamples() {
  const { examples } = list;
  by('upload-preview').hidden = examples.length === 0;
  by('upload-preview').open = false;
  by('upload-example').replaceChildren(...examples.map(({ name }, index) => new Option(name, String(index))));
}

async function showPreview() {
  const rows = await helper.ask('preview', list.examples[Number(by('upload-example').value)].file);
  by('upload-preview-rows').replaceChildren(...rows.map((cells) => {
    const row = Object.assign(document.createElement('tr'), { className: 'nhsuk-table__row' });
    row.append(...cells.map((text, column) => {
      const cell = Object.assign(document.createElement(column ? 'td' : 'th'), { className: column ? 'nhsuk-table__cell' : 'nhsuk-table__header', textContent: text });
      if (column === 0) cell.scope = 'row';
      return cell;
    }));
    return row;
  }));
}

let drawn = false;

function showProgress() {
  // Many pieces may be reported between two pictures of the screen.
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    if (upload) drawProgress(upload);
  });
}

function drawProgress({ sentFiles, sentBytes, total, bytes, resumedFiles }) {
  by('upload-count').textContent = `${sentFiles.toLocaleString('en-GB')} of ${files(total)} sent`;
  by('upload-bytes').textContent = `${megabytes(sentBytes)} of ${megabytes(bytes)} MB`;
  by('upload-resumed').textContent = resumedFiles ? `${files(resumedFiles)} had arrived before and are not sent again.` : '';
  const bar = by('upload-progress');
  const before = Math.floor(bar.value / 25);
  bar.value = bytes ? (100 * sentBytes) / bytes : 0;
  // Said at every quarter only: a reader of the screen would hear nothing else otherwise.
  if (Math.floor(bar.value / 25) > before) say(by('upload-count').textContent);
}

function warn(event) {
  event.preventDefault();
}

async function send() {
  by('upload-errors').replaceChildren();
  const entries = list.chosen;
  if (entries.length === 0) {
    complain('Nothing is chosen. Tick at least one series.');
    return;
  }
  upload ??= new Upload({
    entries,
    createUrl: section.dataset.createUrl,
    token: section.querySelector('[name=csrfmiddlewaretoken]').value,
    helper,
    onProgress: showProgress,
  });
  const mine = upload;
  stage('sending');
  drawProgress(mine);
  by('upload-sending').focus();
  window.addEventListener('beforeunload', warn);
  try {
    const { url, stored } = await mine.run();
    window.removeEventListener('beforeunload', warn);
    by('upload-count').textContent = `${stored.toLocaleString('en-GB')} of ${files(mine.total)} stored`;
    say(by('upload-count').textContent);
    window.location.assign(url);
  } catch (problem) {
    window.removeEventListener('beforeunload', warn);
    if (upload !== mine) return;
    stage('ready');
    by('upload-send').textContent = mine.sentBytes ? 'Go on sending' : 'Try again';
    complain(problem instanceof UploadProblem ? problem.message : 'The files could not be sent. Load this page again and try once more.');
  }
}

async function cancel() {
  const mine = upload;
  upload = null;
  reading += 1;
  if (mine) say('The upload was withdrawn.');
  stage('choose');
  by('choose-folder').focus();
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
      const found = fromList(input.files);
      input.value = '';
      if (found.length) choose(found);
    });
  }
  by('upload-send').addEventListener('click', send);
  for (const id of ['upload-again', 'upload-cancel', 'upload-stop-reading']) by(id).addEventListener('click', cancel);
  by('upload-preview').addEventListener('toggle', () => { if (by('upload-preview').open) showPreview(); });
  by('upload-example').addEventListener('change', showPreview);

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
    say('Reading the folder');
    choose(await fromDrop(event.dataTransfer));
  });
}
