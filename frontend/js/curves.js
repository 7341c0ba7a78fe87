// Curves of one slice on the study's page; loaded when somebody opens them.
import * as plots from './workspace/plots.js';

const loaded = new WeakMap();

export async function show(place) {
  const note = place.querySelector('.app-curves__note');
  if (!loaded.has(place)) {
    const answer = await fetch(place.dataset.curves, { redirect: 'manual' });
    if (!answer.ok) { note.textContent = note.dataset.lost; return; }
    loaded.set(place, await answer.json());
    place.querySelector('select').addEventListener('change', () => draw(place));
  }
  draw(place);
}

function draw(place) {
  const curves = loaded.get(place);
  const segment = curves.segments[place.querySelector('select').value];
  const note = place.querySelector('.app-curves__note');
  const area = place.querySelector('.app-curves__plot');
  const words = document.getElementById('cines').dataset;
  if (!segment) { area.replaceChildren(); note.textContent = words.noCurve; return; }
  note.textContent = '';
  plots.contrast(area, curves, segment, {
    time: words.time, unit: words.unit, measured: words.measured, fitted: words.fitted, input: words.input, out: words.out,
  }, plots.LIGHT);
}
