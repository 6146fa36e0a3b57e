/** What a key means, on every layout of a keyboard and with Caps Lock. */

/**
 * The character of a key. A letter is small without Shift and a capital with it, whatever Caps Lock does; a key whose
 * letter is not Latin counts as the Latin letter that is printed in its place.
 * @param {Pick<KeyboardEvent, 'key' | 'code' | 'shiftKey'>} event
 */
export function keyOf({ key, code, shiftKey }) {
  const printed = /^\p{L}$/u.test(key) && !/^[a-z]$/i.test(key) ? /^Key([A-Z])$/.exec(code)?.[1] : undefined;
  const letter = printed ?? key;
  if (!/^[a-z]$/i.test(letter)) return key;
  return shiftKey ? letter.toUpperCase() : letter.toLowerCase();
}
