// The upload on the home page: choose or drop, look at what is in it, send, go to the upload's page.
import { fromDrop, fromList, megabytes, prepare } from './upload/collect.js';
import { Groups } from './upload/groups.js';
import { Helper, Problem } from './upload/helper.js';
import { List } from './upload/list.js';
import { Rules } from './upload/rules.js';
import { files, number, say } from './upload/words.js';

const READ_AT_ONCE = 50;

const section = document.getElementById('upload');
const by = (id) => document.getElementById(id);
const veil = by('drop-veil');
const helper = section && new Helper(section.dataset.workerUrl, showProgress);
let list = null;
// What has been begun to be sent: whether it goes on, and whether any of it has gone out.
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

function announce(sentence) {
  by('upload-status').textContent = sentence;
}

/** Look into all files, listed as they are: nothing has been sent when this ends. */
async function choose(found) {
  by('upload-errors').replaceChildren();
  upload = null;
  const mine = (reading += 1);
  const chosen = prepare(found);
  if (chosen.files.length === 0) {
    stage('choose');
    complain([say('nothingToSend'), ...chosen.leftOut.slice(0, 3)].join(' '));
    return;
  }
  stage('reading');
  announce(say('readingHeaders'));
  const groups = new Groups(Number(section.dataset.maxFileBytes));
  for (let at = 0; at < chosen.files.length; at += READ_AT_ONCE) {
    by('upload-read').textContent = say('read', { count: number(at), files: files(chosen.files.length) });
    by('upload-reading').value = (100 * at) / chosen.files.length;
    const some = chosen.files.slice(at, at + READ_AT_ONCE);
    const kinds = await helper.ask('look', { entries: some, first: at });
    if (mine !== reading) return;
    some.forEach((entry, index) => groups.add({ place: at + index, name: entry.name, size: kinds[index].size }, kinds[index]));
  }
  show(groups, chosen.leftOut);
}

function show(groups, leftOut) {
  const sentences = [...groups.sentences(), ...leftOut.slice(0, 5)];
  if (leftOut.length > 5) sentences.push(say('moreLeftOut', { count: leftOut.length - 5 }));
  by('upload-left-out').replaceChildren(...sentences.map((sentence) => Object.assign(document.createElement('li'), { textContent: sentence })));
  list = new List(by('upload-groups'), groups, counted);
  if (list.boxes.length === 0) {
    stage('choose');
    complain([say('noDicom'), ...sentences.slice(0, 3)].join(' '));
    return;
  }
  const { studies } = groups;
  by('upload-several').hidden = studies.length < 2;
  by('upload-several-text').textContent = groups.patients.size > 1
    ? say('severalPatients', { count: groups.patients.size })
    : say('severalStudies', { count: studies.length });
  prepareExamples();
  counted();
  stage('ready');
  announce('');
  by('upload-chosen').focus();
}

/** What is chosen, in the heading and on the button, whenever a box is ticked or not. */
function counted() {
  upload = null;
  const entries = list.chosen;
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  by('upload-chosen').textContent = say('chosen', { files: files(entries.length), mb: megabytes(bytes) });
  by('upload-send').textContent = say('upload', { files: files(entries.length) });
}

function prepareExamples() {
  const { examples } = list;
  by('upload-preview').hidden = examples.length === 0;
  by('upload-preview').open = false;
  by('upload-example').replaceChildren(...examples.map(({ name, place }) => new Option(name, String(place))));
}

let rules = null;

async function showPreview() {
  const { rows: found, others, privateElements } = await helper.ask('preview', Number(by('upload-example').value));
  try {
    rules ??= await Rules.from(section.dataset.rulesUrl);
  } catch {
    by('upload-preview-more').textContent = say('noRules');
    return;
  }
  const rows = found.map(([tag, name, value]) => [name, value, rules.instead(tag)]);
  const removed = others.filter((tag) => rules.isRemoved(tag)).length;
  const more = [
    removed && say('othersRemoved', { count: removed }),
    privateElements && say('privateRemoved', { count: privateElements }),
    removed < others.length && say('othersKept', { count: others.length - removed }),
  ].filter(Boolean);
  by('upload-preview-more').textContent = more.length ? `${more.join('; ')}.` : '';
  const heads = [...by('upload-preview').querySelectorAll('thead th')].map(({ textContent }) => textContent);
  by('upload-preview-rows').replaceChildren(...rows.map((cells) => {
    const row = made('tr', 'nhsuk-table__row', 'row');
    row.append(...cells.map((text, column) => {
      const cell = made('td', 'nhsuk-table__cell', 'cell');
      const head = made('span', 'nhsuk-table-responsive__heading');
      head.setAttribute('aria-hidden', 'true');
      head.textContent = `${heads[column]} `;
      cell.append(head, Object.assign(document.createElement('span'), { textContent: text }));
      return cell;
    }));
    return row;
  }));
}

function made(element, className, role) {
  const node = Object.assign(document.createElement(element), { className });
  if (role) node.setAttribute('role', role);
  return node;
}

function showProgress(progress) {
  if (!upload) return;
  upload.begun ||= progress.sentBytes > 0;
  drawProgress(progress);
}

function drawProgress({ sentFiles, sentBytes, total, bytes, resumedFiles }) {
  by('upload-count').textContent = say('sent', { count: number(sentFiles), files: files(total) });
  by('upload-bytes').textContent = say('sentBytes', { mb: megabytes(sentBytes), all: megabytes(bytes) });
  by('upload-resumed').textContent = resumedFiles ? say('resumed', { files: files(resumedFiles) }) : '';
  const bar = by('upload-progress');
  const before = Math.floor(bar.value / 25);
  bar.value = bytes ? (100 * sentBytes) / bytes : 0;
  // Said at every quarter only: a reader of the screen would hear nothing else otherwise.
  if (Math.floor(bar.value / 25) > before) announce(by('upload-count').textContent);
}

function warn(event) {
  event.preventDefault();
}

async function send() {
  by('upload-errors').replaceChildren();
  const entries = list.chosen;
  if (entries.length === 0) {
    complain(say('nothingChosen'));
    return;
  }
  const again = upload !== null;
  upload ??= { begun: false };
  const mine = upload;
  stage('sending');
  by('upload-sending').focus();
  window.addEventListener('beforeunload', warn);
  try {
    const { url, stored } = await helper.ask('send', {
      places: entries.map(({ place }) => place),
      again,
      createUrl: section.dataset.createUrl,
      token: section.querySelector('[name=csrfmiddlewaretoken]').value,
    });
    window.removeEventListener('beforeunload', warn);
    by('upload-count').textContent = say('stored', { count: number(stored), files: files(entries.length) });
    announce(by('upload-count').textContent);
    window.location.assign(url);
  } catch (problem) {
    window.removeEventListener('beforeunload', warn);
    if (upload !== mine) return;
    stage('ready');
    by('upload-send').textContent = say(mine.begun ? 'goOn' : 'tryAgain');
    const { text, word, values } = problem instanceof Problem ? problem.told : {};
    complain(text || say(word || 'notSent', values));
  }
}

async function cancel() {
  const mine = upload;
  upload = null;
  reading += 1;
  if (mine) announce(say('withdrawn'));
  stage('choose');
  by('choose-folder').focus();
  try {
    if (mine) await helper.ask('withdraw');
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
    announce(say('readingFolder'));
    choose(await fromDrop(event.dataTransfer));
  });
}
