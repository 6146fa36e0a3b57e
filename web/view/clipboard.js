/** Writes to the clipboard. */

/**
 * A text that is yet to come is written when it is there: browsers allow that only if it is said at once, in
 * what a person did.
 * @param {string | Promise<string>} text
 */
export async function copyText(text) {
  if (!navigator.clipboard) throw new Error('The browser lets only pages over https:// write to the clipboard.');
  if (typeof text === 'string') return navigator.clipboard.writeText(text);
  if (typeof ClipboardItem !== 'function') return navigator.clipboard.writeText(await text);
  const blob = text.then((it) => new Blob([it], { type: 'text/plain' }));
  await navigator.clipboard.write([new ClipboardItem({ 'text/plain': blob })]);
}
