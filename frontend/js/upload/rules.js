// What the site does to an element, in words. Its rules name what stays; all else is removed.
import { say } from './words.js';

export class Rules {
  /** Asks the site for its rules. */
  static async from(url) {
    const response = await fetch(url, { headers: { Accept: 'application/json' } });
    if (!response.ok) throw new Error('rules');
    return new Rules((await response.json()).attributes);
  }

  constructor(attributes) {
    this.attributes = attributes;
  }

  /** What takes the place of the element with this tag, of eight hexadecimal digits. */
  instead(tag) {
    const action = this.attributes[tag]?.action ?? 'removed';
    return say(`rule${action[0].toUpperCase()}${action.slice(1)}`);
  }

  isRemoved(tag) {
    return !(tag in this.attributes);
  }
}
