/** What a key means, on every layout of a keyboard and with Caps Lock. */

/**
 * The character of a key. With Caps Lock on a letter is a capital with Shift alone; a key whose letter is not Latin
 * counts as the Latin letter that is printed in its place.
 * @param {Pick<KeyboardEvent, 'key' | 'code' | 'shiftKey' | 'getModifierState'>} event
 */
export function keyOf(event) {
  const { key, code, shiftKey } = event;
  const isLatin = /^[a-z]$/i.test(key);
  const printed = /^\p{L}$/u.test(key) && !isLatin ? /^Key([A-Z])$/.exec(code)?.[1] : undefined;
  const letter = printed ?? key;
  if (!printed && !(isLatin && event.getModifierState('CapsLock'))) return key;
  return shiftKey ? letter.toUpperCase() : letter.toLowerCase();
}
