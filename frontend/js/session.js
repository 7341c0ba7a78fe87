// Warns before the session ends. Asking the site how long it lasts does not make it last longer.
const dialog = document.getElementById('session-warning');
const CHECK_EVERY = 15_000;
const TOLD_EVERY = 60_000;

if (dialog) {
  const { address, warning } = dialog.dataset;
  const token = dialog.querySelector('[name=csrfmiddlewaretoken]').value;
  const leftShown = dialog.querySelector('[data-left]');
  let endsAt = 0;
  let toldAt = Date.now();
  let timer = 0;

  const ask = async (method) => {
    const headers = { Accept: 'application/json' };
    if (method === 'POST') headers['X-CSRFToken'] = token;
    try {
      const answer = await fetch(address, { method, headers, redirect: 'error' });
      if (answer.ok) show(await answer.json());
    } catch {
      // The site is out of reach; the next question comes soon.
    }
  };

  const show = ({ left, extendable }) => {
    if (left <= 0) {
      window.location.reload();
      return;
    }
    endsAt = Date.now() + left * 1000;
    const soon = left <= Number(warning);
    for (const part of dialog.querySelectorAll('[data-when]')) {
      part.hidden = (part.dataset.when === 'idle') !== extendable;
    }
    dialog.querySelector('[data-stay]').hidden = !extendable;
    if (soon && !dialog.open) dialog.showModal();
    if (!soon && dialog.open) dialog.close();
    tell();
    window.clearTimeout(timer);
    const wait = soon ? CHECK_EVERY : (left - Number(warning)) * 1000 + 500;
    timer = window.setTimeout(() => ask('GET'), Math.min(wait, 5 * 60_000));
  };

  const tell = () => {
    const seconds = Math.max(0, Math.round((endsAt - Date.now()) / 1000));
    leftShown.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  };

  window.setInterval(() => {
    if (!dialog.open) return;
    tell();
    if (Date.now() > endsAt + 1000) ask('GET');
  }, 1000);
  dialog.querySelector('[data-stay]').addEventListener('click', () => ask('POST'));
  dialog.addEventListener('cancel', () => ask('POST'));
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) ask('GET');
  });
  // Somebody who looks at films for an hour without a new page is there all the same.
  for (const kind of ['pointerdown', 'keydown']) {
    document.addEventListener(kind, () => {
      if (dialog.open || Date.now() - toldAt < TOLD_EVERY) return;
      toldAt = Date.now();
      ask('POST');
    }, { passive: true });
  }
  ask('GET');
}

// A page that "Back" brings out of the browser's memory is asked for anew: it may be of somebody
// who has signed out.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) window.location.reload();
});

// Passkeys: what went wrong is said on the page.
document.addEventListener('allauth.error', (event) => {
  event.preventDefault();
  const problem = document.getElementById('passkey-problem');
  if (!problem) return;
  problem.hidden = false;
  problem.focus();
});
