// Curves over time: what a segment's flow was told by, and signal in a region. Each has a table.
import uPlot from 'uplot';

export const DARK = { ink: '#e8edee', grid: '#3b4148', measured: '#fff', fitted: '#ffb000', input: '#5ab0ff', out: '#ff6b6b' };
export const LIGHT = { ink: '#212b32', grid: '#d8dde0', measured: '#212b32', fitted: '#b35900', input: '#005eb8', out: '#d5281b' };

function axes(strings, unit, two, theme = DARK) {
  const lines = { stroke: theme.grid, width: 1 };
  const one = { stroke: theme.ink, grid: lines, ticks: lines, font: '13px system-ui' };
  const list = [
    { ...one, label: strings.time, labelSize: 22 },
    { ...one, label: unit, size: 58, labelSize: 22 },
  ];
  if (two) list.push({ ...one, scale: 'blood', side: 1, size: 46, grid: { show: false } });
  return list;
}

const drawn = new WeakMap();
// A plot has a width of its own, which would hold a page open that became narrower.
const widths = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  const shown = drawn.get(target);
  if (shown && target.clientWidth && shown.width !== wide(target)) shown.setSize({ width: wide(target), height: shown.height });
}));

function wide(place) {
  return Math.max(240, place.clientWidth);
}

function plot(place, options, data) {
  place.replaceChildren();
  const sizes = { width: wide(place), height: options.height };
  drawn.set(place, new uPlot({ ...sizes, legend: { live: false }, cursor: { drag: { x: false, y: false } }, ...options }, data, place));
  widths.observe(place);
}

/** Contrast in blood and in the muscle of one segment, with the fit. */
export function contrast(place, curves, segment, strings, theme = DARK) {
  const { times_s: times, used, input } = curves;
  const kept = (values) => values.map((value, i) => (used[i] ? value : null));
  const out = segment.measured.map((value, i) => (used[i] ? null : value));
  plot(place, {
    height: 230,
    scales: { x: { time: false }, blood: {} },
    axes: axes(strings, strings.unit, true, theme),
    series: [
      {},
      { label: strings.measured, stroke: theme.measured, points: { show: true, size: 5, fill: theme.measured }, paths: () => null },
      { label: strings.fitted, stroke: theme.fitted, width: 2, points: { show: false } },
      { label: strings.input, scale: 'blood', stroke: theme.input, width: 1.5, dash: [6, 3], points: { show: false } },
      { label: strings.out, stroke: theme.out, points: { show: true, size: 6, stroke: theme.out }, paths: () => null },
    ],
  }, [times, kept(segment.measured), segment.fitted, input, out]);
}

/** The same, and below it what the fit leaves; gives that as a share of the peak. */
export function explain(place, below, curves, segment, strings) {
  contrast(place, curves, segment, strings);
  const { times_s: times, used } = curves;
  const rest = segment.measured.map((value, i) => (used[i] ? value - segment.fitted[i] : null));
  const most = Math.max(...segment.measured.filter((_, i) => used[i])) || 1;
  plot(below, {
    height: 120,
    scales: { x: { time: false }, y: { range: [-0.2 * most, 0.2 * most] } },
    axes: axes(strings, strings.unit, false),
    series: [{}, { label: strings.residual, stroke: '#fff', points: { show: true, size: 4, fill: '#fff' }, paths: () => null }],
  }, [times, rest]);
  const left = rest.filter((value) => value !== null);
  return Math.sqrt(left.reduce((sum, value) => sum + value * value, 0) / Math.max(1, left.length)) / most;
}

export function region(place, times, values, strings) {
  plot(place, {
    height: 200,
    scales: { x: { time: false } },
    axes: axes(strings, strings.regionSignal, false),
    series: [{}, { label: strings.regionSignal, stroke: '#5ab0ff', width: 1.5, points: { show: true, size: 4, fill: '#5ab0ff' } }],
  }, [times, values]);
}

/** The same numbers as a table: the alternative to the picture. */
export function table(body, rows) {
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement('tr');
    cells.forEach((text, i) => {
      const cell = document.createElement(i ? 'td' : 'th');
      if (!i) cell.scope = 'row';
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
}
