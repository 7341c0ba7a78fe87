// Every page: the NHS components, and what keeps polled parts of a page usable.
import {
  initButtons,
  initErrorSummary,
  initHeader,
  initNotificationBanners,
  initPasswordInputs,
  initScroll,
  initSkipLinks,
} from 'nhsuk-frontend';
import './session.js';

document.body.classList.add('js-enabled', 'nhsuk-frontend-supported');
for (const initialise of [
  initHeader,
  initSkipLinks,
  initErrorSummary,
  initNotificationBanners,
  initButtons,
  initPasswordInputs,
  initScroll,
]) {
  initialise();
}

let said = '';

document.addEventListener('htmx:load', ({ target }) => {
  // A polled part that says `data-refreshes="#other"` asks the other to look again: work that has
  // just begun shows in the corner without a new page.
  const other = target.dataset?.refreshes && document.querySelector(target.dataset.refreshes);
  if (other) window.htmx.trigger(other, 'refresh');

  // Polled parts change in silence. What a reader must hear is said here, once for each change.
  const news = target.dataset?.announce ?? target.querySelector?.('[data-announce]')?.dataset.announce;
  if (!news || news === said) return;
  if (said) document.getElementById('announcer').textContent = news;
  said = news;
});

// After the session has ended a poll is answered with the sign-in page: show it as a page.
document.addEventListener('htmx:beforeSwap', (event) => {
  const { xhr, pathInfo } = event.detail;
  const answered = new URL(xhr.responseURL || pathInfo.requestPath, window.location.href).pathname;
  if (answered === new URL(pathInfo.requestPath, window.location.href).pathname) return;
  event.detail.shouldSwap = false;
  window.location.reload();
});
