// The films of a study: one set of controls plays, stops and steps all of them together.

const bar = document.getElementById('cine-bar');
const videos = [...document.querySelectorAll('video[data-cine]')];
const by = (id) => document.getElementById(id);

const frames = (video) => Math.max(1, Number(video.dataset.frames) || 1);
const mostFrames = Math.max(1, ...videos.map(frames));
let playing = false;

/** The film with most frames leads; shorter ones hold their last frame until all start again. */
const lead = videos.find((video) => frames(video) === mostFrames);

function frameLength() {
  return lead.duration > 0 ? lead.duration / mostFrames : 0;
}

function current() {
  const length = frameLength();
  return length ? Math.min(mostFrames - 1, Math.floor(lead.currentTime / length + 0.01)) : 0;
}

function show() {
  const frame = current();
  const text = by('cine-frame').dataset.text.replace('{frame}', frame + 1).replace('{frames}', mostFrames);
  by('cine-frame').textContent = text;
  by('cine-position').value = frame;
  by('cine-position').setAttribute('aria-valuetext', text);
}

/** Every film goes to the middle of the frame with this number, where rounding cannot hurt. */
function goTo(frame) {
  const wanted = Math.min(Math.max(frame, 0), mostFrames - 1);
  for (const video of videos) {
    if (video.duration > 0) video.currentTime = (Math.min(wanted, frames(video) - 1) + 0.5) * (video.duration / frames(video));
  }
}

function play() {
  playing = true;
  if (lead.ended || current() >= mostFrames - 1) goTo(0);
  for (const video of videos) {
    video.playbackRate = Number(by('cine-speed').value);
    if (!video.ended) video.play().catch(() => {});
  }
  label();
  tick();
}

function pause() {
  playing = false;
  for (const video of videos) video.pause();
  label();
}

function label() {
  const button = by('cine-play');
  button.textContent = playing ? button.dataset.pause : button.dataset.play;
}

function tick() {
  if (!playing) return;
  show();
  requestAnimationFrame(tick);
}

function again() {
  if (!playing) return;
  for (const video of videos) {
    video.currentTime = 0;
    video.play().catch(() => {});
  }
}

function step(by_) {
  pause();
  goTo(current() + by_);
}

if (bar && lead) {
  bar.hidden = false;
  by('cine-position').max = String(mostFrames - 1);
  for (const video of videos) {
    video.controls = false;
    video.loop = false;
    video.addEventListener('click', () => (playing ? pause() : play()));
  }
  lead.addEventListener('ended', again);
  lead.addEventListener('seeked', show);
  lead.addEventListener('loadedmetadata', show);
  by('cine-play').addEventListener('click', () => (playing ? pause() : play()));
  by('cine-back').addEventListener('click', () => step(-1));
  by('cine-on').addEventListener('click', () => step(1));
  by('cine-position').addEventListener('input', ({ target }) => { pause(); goTo(Number(target.value)); });
  const film = by('cine-film');
  if (videos.some((video) => video.dataset.original)) {
    for (const video of videos) video.dataset.corrected = video.getAttribute('src');
    film.addEventListener('change', () => {
      const frame = current();
      pause();
      for (const video of videos) {
        const wanted = film.value === 'original' ? video.dataset.original : video.dataset.corrected;
        if (!wanted || video.getAttribute('src') === wanted) continue;
        video.src = wanted;
        // The same frame of the other film, once it knows how long it is.
        video.addEventListener('loadedmetadata', () => goTo(frame), { once: true });
      }
    });
  } else film.closest('label').hidden = true;
  by('cine-speed').addEventListener('change', ({ target }) => {
    for (const video of videos) video.playbackRate = Number(target.value);
  });
  bar.addEventListener('keydown', (event) => {
    if (event.target.tagName === 'SELECT' || event.target.type === 'range') return;
    if (event.key === 'ArrowLeft') step(-1);
    else if (event.key === 'ArrowRight') step(1);
    else return;
    event.preventDefault();
  });
  document.addEventListener('visibilitychange', () => { if (document.hidden) pause(); });
  show();
}

// Curves are drawn where they are asked for; the program that draws them is loaded then.
const curves = [...document.querySelectorAll('[data-curves]')];
if (curves.length) {
  const { curvesProgram } = document.getElementById('cines').dataset;
  for (const place of curves) {
    place.addEventListener('toggle', () => {
      if (place.open) import(curvesProgram).then((program) => program.show(place));
    });
  }
}
