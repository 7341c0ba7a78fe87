// Registration, where the site asks for a proof of work: the puzzle is solved while the form is
// filled in, beside the page. A form that is sent before waits for the answer.
import { solveChallenge } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/web/pbkdf2';

const field = document.querySelector('[data-proof]');
const form = field.closest('form');

const solved = solveChallenge({ challenge: JSON.parse(field.dataset.proof), deriveKey }).then(
  (solution) => {
    field.value = btoa(JSON.stringify({ challenge: JSON.parse(field.dataset.proof), solution }));
  },
);

form.addEventListener('submit', (event) => {
  if (field.value) return;
  event.preventDefault();
  solved.then(() => form.requestSubmit(event.submitter));
});
