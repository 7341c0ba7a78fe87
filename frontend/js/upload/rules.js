// What the site does to an element, in words. Its rules name what stays; all else is removed.

const ACTIONS = {
  removed: 'Removed',
  emptied: 'Left empty',
  pseudonym: 'Replaced by a stand-in, made with your trust’s key',
  moved: 'Moved back by one to ten years, alike in all files of this patient',
  words: 'Written anew in the site’s own words',
  limited: 'Kept within limits',
  checked: 'Kept if it is a code of the standard',
  kept: 'Kept',
};

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
    return ACTIONS[this.attributes[tag]?.action ?? 'removed'];
  }

  isRemoved(tag) {
    return !(tag in this.attributes);
  }
}
