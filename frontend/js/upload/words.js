// What the page says, by name, in the site's language; what stands in braces is filled in. Used in
// the page only: the worker tells names.

const place = globalThis.document?.getElementById('upload-words');
const words = place ? JSON.parse(place.textContent) : {};

export function say(name, values = {}) {
  return (words[name] ?? name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export function number(value) {
  return value.toLocaleString(document.documentElement.lang);
}

export function files(count) {
  return count === 1 ? say('file') : say('files', { count: number(count) });
}
