// The workspace: all series of a result, frame by frame, with what lies below the pointer, curves,
// regions and outlines that can be drawn.
import { Drawing, fill } from './workspace/drawing.js';
import { segmentsOf, statistics, filled, area } from './workspace/geometry.js';
import { Ended, load } from './workspace/load.js';
import { Panel } from './workspace/panel.js';
import * as plots from './workspace/plots.js';

const data = JSON.parse(document.getElementById('workspace-data').textContent);
const { strings } = data;
const root = document.getElementById('workspace');
const by = (id) => document.getElementById(id);
const palette = {
  ...data.scale,
  table: data.scale.colours.match(/.{6}/g).map((hex) => [0, 2, 4].map((i) => Number.parseInt(hex.slice(i, i + 2), 16))),
};

const view = { layout: 'grid', film: 'corrected', overlay: 'mbf', opacity: 0.65, tool: 'look', linked: true, smooth: true, outlines: true, speed: 1 };
const panels = data.series.map((series, i) => new Panel(by(`panel-${i}`), series, palette));
let active = panels[0];
let playing = false;
let handle = null;
let explained = null;
const curvesOf = new Map();

const drawing = data.editAddress && new Drawing({
  ...data, token: document.querySelector('[name=csrfmiddlewaretoken]')?.value, onChange: drawn, status: tell,
});

const outlinesOf = (panel) => (drawing ? drawing.of(panel.series.folder) : panel.series.contours);
const folderOf = (panel) => panel.series.folder;
const isDrawn = (panel) => Boolean(drawing?.content[folderOf(panel)]?.endocardium);
const fixed = (value, digits) => (value === null || value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(digits));

/** Segment numbers on the panel's crop: those of the result, or of what is drawn now. */
function numbersOf(panel) {
  if (!panel.film) return null;
  if (!isDrawn(panel)) return panel.film.aha;
  if (panel.stale) {
    const { rows, cols, offset } = panel.film;
    panel.numbers = segmentsOf(outlinesOf(panel), panel.series.level, rows, cols, offset).numbers;
    panel.stale = false;
  }
  return panel.numbers;
}

// --- drawing the panels ----------------------------------------------------------------------

let asked = false;

function redraw(all = true) {
  if (all) for (const panel of panels) panel.dirty = true;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const panel of panels) if (panel.dirty) paint(panel);
  });
}

function paint(panel) {
  const edits = view.tool === 'edit' && panel === active && drawing;
  panel.draw({
    ...view,
    outlines: view.outlines ? outlinesOf(panel) : null,
    numbers: numbersOf(panel),
    handles: edits ? drawing.handles(folderOf(panel)) : [],
    current: edits ? handle : null,
  });
}

function fit() {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  for (const panel of panels) {
    const wide = Math.round(panel.canvas.clientWidth * ratio);
    if (wide && panel.canvas.width !== wide) { panel.canvas.width = wide; panel.canvas.height = wide; panel.dirty = true; }
  }
  redraw(false);
}

// --- what is said beside the pictures ---------------------------------------------------------

function choose(panel) {
  if (panel !== active) handle = null;
  active = panel;
  for (const one of panels) one.canvas.closest('figure').classList.toggle('ws-panel--active', one === panel);
  by('ws-series').textContent = panel.series.label;
  by('ws-frame-slider').max = String(panel.count - 1);
  told();
  numbers();
  redraw();
}

function told() {
  if (!active?.film) return;
  const { series, frame } = active;
  let text = fill(strings.frame, { frame: frame + 1, frames: active.count, time: fixed(series.times[frame], 1) });
  if (!series.used[frame] && series.reasons[frame]) text += `; ${fill(strings.leftOut, { reason: series.reasons[frame] })}`;
  by('ws-frame').textContent = text;
  by('ws-frame-slider').value = String(frame);
  by('ws-frame-slider').setAttribute('aria-valuetext', text);
  readout();
}

/** The address at which a comment is pinned to what is looked at. */
function pin() {
  const link = by('ws-comment');
  if (!link || !active) return;
  const asked = new URLSearchParams({ folder: folderOf(active), frame: active.frame });
  if (active.probe) {
    asked.set('row', Math.max(0, Math.round(active.probe[0])));
    asked.set('column', Math.max(0, Math.round(active.probe[1])));
  }
  if (explained && active.series.segments[explained]) asked.set('segment', explained);
  link.href = `${link.dataset.address}&${asked}`;
}

/** What the address of the page asks for: a place that somebody commented on. */
function goToPlace() {
  const asked = new URLSearchParams(window.location.search);
  const panel = panels.find((one) => folderOf(one) === asked.get('folder'));
  if (!panel?.film) return;
  choose(panel);
  if (asked.has('frame')) goTo(Number(asked.get('frame')));
  if (asked.has('row') && asked.has('column')) panel.probe = [Number(asked.get('row')), Number(asked.get('column'))];
  if (asked.has('segment')) explain(panel, Number(asked.get('segment')));
  told();
  redraw();
}

function readout() {
  pin();
  const place = by('ws-probe');
  const index = active?.probe ? active.indexOf(active.probe) : -1;
  if (index < 0) { place.textContent = ''; place.dataset.index = ''; return; }
  const { signal, mbf } = active.at(index, view.film);
  const segment = numbersOf(active)[index];
  const [row, column] = active.probe.map(Math.round);
  place.dataset.index = String(index);
  place.dataset.signal = String(signal);
  place.dataset.mbf = String(mbf);
  place.textContent = [
    Number.isFinite(mbf) ? `${mbf.toFixed(2)} ${active.series.unit}` : strings.noFlow,
    segment ? `${segment} ${data.names[segment]}` : strings.noSegment,
    fill(strings.signal, { value: signal.toPrecision(4) }),
    fill(strings.row, { row, column }),
  ].join(' · ');
}

/** The segments of the chosen series: flow of record, and the mean of pixels as the wall is drawn. */
function numbers() {
  if (!active?.film) return;
  const { mbf } = active.film;
  const aha = numbersOf(active);
  const rows = Object.keys(active.series.segments).map(Number).sort((a, b) => a - b).map((number) => {
    const flow = active.series.segments[number];
    const now = statistics(mbf, (i) => aha[i] === number);
    return { number, flow, now };
  });
  by('ws-segments').replaceChildren(...rows.map(({ number, flow, now }) => {
    const row = document.createElement('tr');
    const head = document.createElement('th');
    head.scope = 'row';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'ws-link';
    button.dataset.segment = String(number);
    button.textContent = `${number} ${data.names[number]}`;
    button.addEventListener('click', () => explain(active, number));
    head.append(button);
    row.append(head);
    const interval = flow.low === null ? [] : [`(${fixed(flow.low, 2)}–${fixed(flow.high, 2)})`];
    for (const texts of [[fixed(flow.mbf, 2), ...interval], [fixed(now.mean, 2)]]) {
      const cell = document.createElement('td');
      texts.forEach((text, i) => {
        const part = document.createElement('span');
        part.textContent = text;
        cell.append(i ? ' ' : '', part);
      });
      row.append(cell);
    }
    return row;
  }));
  let missing = 0;
  if (isDrawn(active)) for (let i = 0; i < aha.length; i += 1) if (aha[i] && !Number.isFinite(mbf[i])) missing += 1;
  by('ws-missing').textContent = missing ? fill(strings.missing, { count: missing }) : '';
}

async function curves(panel) {
  if (!panel.series.curves) return null;
  if (!curvesOf.has(panel)) {
    const answer = await fetch(panel.series.curves, { redirect: 'manual' });
    if (!answer.ok) return null;
    curvesOf.set(panel, await answer.json());
  }
  return curvesOf.get(panel);
}

async function explain(panel, number) {
  const flow = panel.series.segments[number];
  if (!flow) return;
  choose(panel);
  explained = number;
  const name = data.names[number];
  const place = by('ws-explained');
  place.hidden = false;
  const all = await curves(panel);
  const segment = all?.segments[number];
  by('ws-plots').hidden = !segment;
  if (flow.mbf === null) by('ws-sentence').textContent = fill(strings.explainUnknown, { number, name });
  if (!segment) {
    if (flow.mbf !== null) by('ws-sentence').textContent = strings.noCurve;
    return;
  }
  const residual = plots.explain(by('ws-curve'), by('ws-residual'), all, segment, strings);
  const frames = panel.series.dynamic.filter(Boolean).length;
  const out = panel.series.used.filter((used, i) => panel.series.dynamic[i] && !used).length;
  by('ws-sentence').textContent = fill(strings.explain, {
    number, name, mbf: fixed(flow.mbf, 2), unit: panel.series.unit, residual: fixed(100 * residual, 1), out, frames,
    interval: flow.low === null ? '' : fill(strings.interval, { low: fixed(flow.low, 2), high: fixed(flow.high, 2) }),
  });
  plots.table(by('ws-values'), all.times_s.map((time, i) => [
    fixed(time, 1), fixed(all.input[i], 3), fixed(segment.measured[i], 3), fixed(segment.fitted[i], 3), all.used[i] ? '' : all.reasons[i] ?? '✕',
  ]));
}

// --- frames ------------------------------------------------------------------------------------

function goTo(frame) {
  active.goTo(frame);
  if (view.linked) for (const panel of panels) panel.goTo(active.frame);
  redraw(false);
  told();
}

let last = 0;

function tick(now) {
  if (!playing) return;
  if (now - last >= 100 / view.speed) {
    last = now;
    const longest = view.linked ? Math.max(...panels.map((panel) => panel.count)) : active.count;
    const next = (Math.max(active.frame, view.linked ? Math.max(...panels.map((p) => p.frame)) : 0) + 1) % longest;
    for (const panel of view.linked ? panels : [active]) panel.goTo(next);
    redraw(false);
    told();
  }
  requestAnimationFrame(tick);
}

function play(on) {
  playing = on;
  by('ws-play').textContent = on ? strings.pause : strings.play;
  by('ws-play').setAttribute('aria-pressed', String(on));
  if (on) requestAnimationFrame(tick);
}

// --- regions and outlines ----------------------------------------------------------------------

function regionChanged(panel) {
  const out = by('ws-region');
  const use = by('ws-use-region');
  if (!panel.regionIsClosed) {
    out.textContent = strings.regionHow;
    by('ws-region-curve').replaceChildren();
    if (use) use.hidden = true;
    panel.dirty = true;
    redraw(false);
    return;
  }
  const { rows, cols, offset, mbf } = panel.film;
  const mask = filled(panel.region, rows, cols, offset);
  const pixels = mask.reduce((a, b) => a + b, 0);
  const [down, across] = panel.series.spacing;
  const size = panel.series.spacingIsKnown
    ? fill(strings.region, { pixels, area: fixed(area(panel.region) * down * across, 0) })
    : fill(strings.regionUnscaled, { pixels });
  const flow = statistics(mbf, (i) => mask[i] === 1);
  const told_ = flow.count
    ? fill(strings.regionFlow, { mean: fixed(flow.mean, 2), sd: fixed(flow.sd, 2), low: fixed(flow.low, 2), high: fixed(flow.high, 2), count: flow.count, unit: panel.series.unit })
    : strings.regionNoFlow;
  out.textContent = `${panel.series.label}: ${size}; ${told_}.`;
  const film = panel.films[view.film] ?? panel.film;
  const size_ = rows * cols;
  const values = panel.series.times.map((_, frame) => {
    let sum = 0;
    for (let i = 0; i < size_; i += 1) if (mask[i]) sum += film.film[frame * size_ + i];
    return pixels ? film.low + (film.step * sum) / pixels : null;
  });
  plots.region(by('ws-region-curve'), panel.series.times, values, strings);
  if (use) use.hidden = pixels < 4 || panel.region.length < 3;
  panel.dirty = true;
  redraw(false);
}

function addPoint(panel, point) {
  if (panel.regionIsClosed) { panel.region = []; panel.regionIsClosed = false; }
  panel.region.push(point);
  regionChanged(panel);
}

function closeRegion(panel) {
  if (panel.region.length < 3) return;
  panel.regionIsClosed = true;
  regionChanged(panel);
}

/** As many points as the server takes, along the region's sides. */
function dense(points, wanted = 48) {
  const found = [];
  const each = Math.ceil(wanted / points.length);
  points.forEach(([r1, c1], i) => {
    const [r2, c2] = points[(i + 1) % points.length];
    for (let k = 0; k < each; k += 1) found.push([r1 + ((r2 - r1) * k) / each, c1 + ((c2 - c1) * k) / each]);
  });
  return found;
}

function drawn() {
  for (const panel of panels) panel.stale = true;
  numbers();
  readout();
  by('ws-undo').disabled = !drawing.past.length;
  by('ws-redo').disabled = !drawing.future.length;
  by('ws-run').disabled = drawing.isEmpty;
  by('ws-discard').disabled = drawing.isEmpty;
  redraw();
}

function tell(text, isProblem = false, theirs = null) {
  const place = by('ws-kept');
  place.textContent = text;
  place.classList.toggle('ws-kept--problem', isProblem);
  const choice = by('ws-conflict');
  choice.hidden = !theirs;
  if (theirs) choice.theirs = theirs;
}

/** The handle nearest to a point, among the outlines' own points so that any place can be pulled. */
function nearest(panel, point) {
  const outlines = drawing.of(folderOf(panel));
  const [sx, sy] = panel.scale();
  let best = null;
  let least = 14 * Math.min(2, window.devicePixelRatio || 1);
  const look = (name, candidate, at) => {
    const away = Math.hypot((candidate[1] - point[1]) * sx, (candidate[0] - point[0]) * sy);
    if (away < least) { least = away; best = { name, at }; }
  };
  for (const name of ['rv_insertion_anterior', 'rv_insertion_inferior']) if (outlines[name]) look(name, outlines[name], 0);
  if (best) return best;
  for (const name of ['endocardium', 'epicardium', 'aif_region']) outlines[name]?.forEach((candidate, at) => look(name, candidate, at));
  return best;
}

// --- pointer -----------------------------------------------------------------------------------

function pointOf(panel, event) {
  const box = panel.canvas.getBoundingClientRect();
  const ratio = panel.canvas.width / box.width;
  return panel.toSource((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
}

function listen(panel) {
  const { canvas } = panel;
  let drag = null;
  canvas.addEventListener('focus', () => choose(panel));
  canvas.addEventListener('pointerdown', (event) => {
    if (!panel.film || event.button !== 0) return;
    canvas.focus({ preventScroll: true });
    const point = pointOf(panel, event);
    drag = { x: event.clientX, y: event.clientY, from: point, window: { ...panel.window }, centre: [...panel.centre] };
    if (view.tool === 'edit' && drawing) {
      handle = nearest(panel, point);
      drag.handle = handle;
      drag.last = point;
      redraw();
    }
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!panel.film) return;
    const point = pointOf(panel, event);
    if (!drag) {
      if (event.pointerType === 'mouse' && panel === active) { panel.probe = point; panel.dirty = true; redraw(false); readout(); }
      return;
    }
    drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 3;
    if (!drag.moved) return;
    const box = canvas.getBoundingClientRect();
    if (view.tool === 'edit' && drag.handle) {
      if (!drag.begun) { drawing.begin(); drag.begun = true; }
      drawing.move(folderOf(panel), drag.handle, [point[0] - drag.last[0], point[1] - drag.last[1]]);
      drag.last = point;
      return;
    }
    if (view.tool === 'window') {
      const range = drag.window.high - drag.window.low;
      const wide = range * Math.exp((2 * (event.clientX - drag.x)) / box.width);
      const middle = (drag.window.high + drag.window.low) / 2 + (range * (event.clientY - drag.y)) / box.height;
      setWindow(panel, middle - wide / 2, middle + wide / 2);
    } else if (view.tool === 'pan') {
      const [sx, sy] = panel.scale();
      const ratio = canvas.width / box.width;
      panel.centre = [drag.centre[0] - ((event.clientY - drag.y) * ratio) / sy, drag.centre[1] - ((event.clientX - drag.x) * ratio) / sx];
    } else { panel.probe = point; readout(); }
    panel.dirty = true;
    redraw(false);
  });
  canvas.addEventListener('pointerup', (event) => {
    if (!drag) return;
    const clicked = !drag.moved;
    drag = null;
    if (!clicked || !panel.film) return;
    panel.probe = pointOf(panel, event);
    readout();
    if (view.tool === 'region') addPoint(panel, panel.probe);
    else if (view.tool === 'look') explainAtProbe(panel);
    panel.dirty = true;
    redraw(false);
  });
  canvas.addEventListener('pointercancel', () => { drag = null; });
  canvas.addEventListener('dblclick', () => {
    if (view.tool === 'region') { panel.region.pop(); closeRegion(panel); }
  });
  canvas.addEventListener('wheel', (event) => {
    if (!panel.film || panel !== active || document.activeElement !== canvas) return;
    event.preventDefault();
    if (event.ctrlKey || event.shiftKey) zoom(panel, event.deltaY < 0 ? 1.15 : 1 / 1.15);
    else goTo(panel.frame + Math.sign(event.deltaY));
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => { if (panel.film && key(panel, event)) event.preventDefault(); });
}

function explainAtProbe(panel) {
  const index = panel.probe ? panel.indexOf(panel.probe) : -1;
  const number = index < 0 ? 0 : numbersOf(panel)[index];
  if (number) explain(panel, number);
}

function setWindow(panel, low, high) {
  const each = view.linked ? panels.filter((one) => one.film) : [panel];
  const share = (high - low) / (panel.window.high - panel.window.low || 1);
  const shift = (low - panel.window.low) / (panel.window.high - panel.window.low || 1);
  for (const one of each) {
    // Series differ in brightness: all are changed in the same proportion.
    const range = one.window.high - one.window.low;
    const newLow = one.window.low + shift * range;
    one.window = { low: newLow, high: newLow + Math.max(1e-6, share * range) };
    one.dirty = true;
  }
}

function zoom(panel, factor) {
  for (const one of view.linked ? panels : [panel]) {
    if (!one.film) continue;
    one.zoom = Math.min(12, Math.max(1, one.zoom * factor));
    if (one.zoom === 1) one.centre = [one.film.rows / 2, one.film.cols / 2];
    one.dirty = true;
  }
  redraw(false);
}

function resetView() {
  for (const panel of panels) {
    if (!panel.film) continue;
    panel.zoom = 1;
    panel.centre = [panel.film.rows / 2, panel.film.cols / 2];
    panel.window = panel.usualWindow();
  }
  redraw();
}

// --- keyboard ----------------------------------------------------------------------------------

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function key(panel, event) {
  const { key: name } = event;
  if ((event.ctrlKey || event.metaKey) && drawing) {
    if (name === 'z') { drawing.undo(); return true; }
    if (name === 'y') { drawing.redo(); return true; }
  }
  if (event.ctrlKey || event.metaKey) return false;
  if (ARROWS[name] && event.shiftKey) { nudge(panel, ARROWS[name]); return true; }
  if (ARROWS[name] && event.altKey) {
    const [sx, sy] = [0.06 * panel.film.rows / panel.zoom, 0.06 * panel.film.cols / panel.zoom];
    panel.centre = [panel.centre[0] + ARROWS[name][0] * sx, panel.centre[1] + ARROWS[name][1] * sy];
    panel.dirty = true;
    redraw(false);
    return true;
  }
  const range = panel.window.high - panel.window.low;
  const { low, high } = panel.window;
  switch (name) {
    case 'ArrowLeft': goTo(panel.frame - 1); return true;
    case 'ArrowRight': goTo(panel.frame + 1); return true;
    case 'Home': goTo(0); return true;
    case 'End': goTo(panel.count - 1); return true;
    case ' ': play(!playing); return true;
    case '+': case '=': zoom(panel, 1.25); return true;
    case '-': zoom(panel, 0.8); return true;
    case '0': resetView(); return true;
    case '[': setWindow(panel, low + 0.05 * range, high - 0.05 * range); redraw(); return true;
    case ']': setWindow(panel, low - 0.05 * range, high + 0.05 * range); redraw(); return true;
    case ',': setWindow(panel, low + 0.05 * range, high + 0.05 * range); redraw(); return true;
    case '.': setWindow(panel, low - 0.05 * range, high - 0.05 * range); redraw(); return true;
    case 'm': set('overlay', { mbf: 'segments', segments: 'none', none: 'mbf' }[view.overlay]); return true;
    case 'o': set('film', view.film === 'corrected' ? 'original' : 'corrected'); return true;
    case 'l': by('ws-linked').click(); return true;
    case 'h': by('ws-outlines').click(); return true;
    case 'f': set('layout', view.layout === 'one' ? 'grid' : 'one'); return true;
    case 'PageUp': case 'PageDown': {
      const other = panels[(panels.indexOf(panel) + (name === 'PageUp' ? -1 : 1) + panels.length) % panels.length];
      choose(other);
      fit();
      other.canvas.focus();
      return true;
    }
    case 'n': case 'p': return step(panel, name === 'n' ? 1 : -1);
    case 'Enter':
      if (view.tool === 'region' && panel.probe) addPoint(panel, [...panel.probe]);
      else explainAtProbe(panel);
      return true;
    case 'c': if (view.tool === 'region') { closeRegion(panel); return true; } return false;
    case 'Backspace': case 'Delete':
      if (view.tool !== 'region') return false;
      panel.regionIsClosed = false;
      panel.region.pop();
      regionChanged(panel);
      return true;
    default: return false;
  }
}

/** Shift and an arrow: the handle that is chosen, or else the probe, by half a pixel or one. */
function nudge(panel, [dr, dc]) {
  if (view.tool === 'edit' && drawing && handle) {
    drawing.begin();
    drawing.move(folderOf(panel), handle, [0.5 * dr, 0.5 * dc]);
    return;
  }
  const { rows, cols, offset } = panel.film;
  const start = panel.probe?.map(Math.round) ?? [offset[0] + Math.floor(rows / 2), offset[1] + Math.floor(cols / 2)];
  const inside = (value, from, count) => Math.min(from + count - 1, Math.max(from, value));
  panel.probe = [inside(start[0] + dr, offset[0], rows), inside(start[1] + dc, offset[1], cols)];
  panel.dirty = true;
  redraw(false);
  readout();
}

function step(panel, by_) {
  if (view.tool !== 'edit' || !drawing) return false;
  const all = drawing.handles(folderOf(panel));
  if (!all.length) return true;
  const at = all.findIndex((one) => handle && one.name === handle.name && one.at === handle.at);
  handle = all[(at + by_ + all.length) % all.length];
  by('announcer').textContent = fill(strings.handle, { what: strings[handle.name], number: handle.number });
  redraw();
  return true;
}

// --- controls ----------------------------------------------------------------------------------

function set(name, value) {
  view[name] = value;
  const control = by(`ws-${name}`);
  if (control && control.value !== String(value)) control.value = String(value);
  if (name === 'layout') { root.dataset.layout = value; fit(); }
  if (name === 'film' && value === 'original') panels.forEach(original);
  if (name === 'tool') {
    root.dataset.tool = value;
    for (const part of document.querySelectorAll('[data-for-tool]')) part.hidden = part.dataset.forTool !== value;
    if (value === 'region') regionChanged(active);
  }
  redraw();
  readout();
}

async function original(panel) {
  if (panel.films.original || panel.loading || !panel.series.original) return;
  panel.loading = true;
  try { panel.setFilm('original', await load(panel.series.original)); } catch (error) { lost(panel, error); }
  panel.loading = false;
  panel.dirty = true;
  redraw(false);
}

function lost(panel, error) {
  const place = panel.canvas.closest('figure').querySelector('.ws-panel__problem');
  place.textContent = error instanceof Ended ? strings.ended : strings.lost;
  place.hidden = false;
}

function controls() {
  by('ws-play').addEventListener('click', () => play(!playing));
  by('ws-back').addEventListener('click', () => goTo(active.frame - 1));
  by('ws-on').addEventListener('click', () => goTo(active.frame + 1));
  by('ws-frame-slider').addEventListener('input', ({ target }) => { play(false); goTo(Number(target.value)); });
  by('ws-speed').addEventListener('change', ({ target }) => { view.speed = Number(target.value); });
  by('ws-layout').addEventListener('change', ({ target }) => set('layout', target.value));
  by('ws-film').addEventListener('change', ({ target }) => set('film', target.value));
  by('ws-overlay').addEventListener('change', ({ target }) => set('overlay', target.value));
  by('ws-opacity').addEventListener('input', ({ target }) => set('opacity', Number(target.value)));
  by('ws-tool').addEventListener('change', ({ target }) => set('tool', target.value));
  for (const name of ['linked', 'smooth', 'outlines']) by(`ws-${name}`).addEventListener('change', ({ target }) => { view[name] = target.checked; redraw(); });
  by('ws-zoom-in').addEventListener('click', () => zoom(active, 1.25));
  by('ws-zoom-out').addEventListener('click', () => zoom(active, 0.8));
  by('ws-reset').addEventListener('click', resetView);
  by('ws-clear-region').addEventListener('click', () => { active.region = []; active.regionIsClosed = false; regionChanged(active); });
  by('ws-close-region').addEventListener('click', () => closeRegion(active));
  document.addEventListener('visibilitychange', () => { if (document.hidden) play(false); });
  let wide = root.clientWidth;
  new ResizeObserver(() => {
    fit();
    if (root.clientWidth === wide) return;
    wide = root.clientWidth;
    if (explained) explain(active, explained);
    if (active.regionIsClosed) regionChanged(active);
  }).observe(root);
  if (!drawing) return;
  by('ws-undo').addEventListener('click', () => drawing.undo());
  by('ws-redo').addEventListener('click', () => drawing.redo());
  by('ws-discard').addEventListener('click', () => { if (window.confirm(strings.discard)) drawing.discard(); });
  by('ws-use-region').addEventListener('click', () => drawing.setRegion(folderOf(active), dense(active.region)));
  by('ws-theirs').addEventListener('click', () => { drawing.resolve(by('ws-conflict').theirs, false); tell(''); });
  by('ws-mine').addEventListener('click', () => drawing.resolve(by('ws-conflict').theirs, true));
  by('ws-run-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const crossing = drawing.crossing(data.series);
    if (crossing.length) { tell(fill(strings.crossing, { series: crossing.join('; ') }), true); return; }
    drawing.keep().then((kept) => { if (kept) event.target.submit(); });
  });
  if (!drawing.isEmpty) tell(fill(strings.kept, { at: data.edit.at }));
  drawn();
}

async function begin() {
  if (!panels.length) return;
  panels.forEach(listen);
  controls();
  set('tool', 'look');
  fit();
  choose(active);
  // One after the other: the first can be read while the next is on its way.
  for (const panel of panels) {
    try { panel.setFilm('corrected', await load(panel.series.corrected)); } catch (error) { lost(panel, error); continue; }
    panel.dirty = true;
    if (panel === active) choose(panel);
    redraw(false);
  }
  goToPlace();
  root.dataset.ready = 'true';
}

// For tests and for whoever looks: what the program holds.
root.workspace = { panels, view, drawing, goTo, paint, numbersOf, get explained() { return explained; } };
begin();
