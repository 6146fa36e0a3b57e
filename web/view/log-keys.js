/** The keys of a log, wherever it is on screen. */

import { keyOf } from '../model/keys.js';
import { showHelp } from './help.js';
import { moveKey } from './log-intents.js';

/**
 * For the whole page: a key means the log that has the focus, else the one that is on screen. On the fleet, where
 * the list scrolls, the keys that move a log are left to the browser.
 */
export function listenForLogKeys() {
  document.addEventListener('keydown', (event) => {
    const { target } = event;
    if (!(target instanceof Element) || target.closest('input, select, textarea, dialog, [popover], sy-log-panel')) return;
    const panel = [...document.querySelectorAll('sy-log-panel')].find(isOnScreen);
    if (panel) logKey(/** @type {import('./log-panel.js').LogPanel} */ (panel), event, target.closest('sy-fleet') !== null || panel.closest('sy-fleet') !== null);
  });
}

/** @param {Element} element */
function isOnScreen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

/** @param {import('./log-panel.js').LogPanel} panel @param {KeyboardEvent} event @param {boolean} [stays] whether the keys that move it are not for it */
export function logKey(panel, event, stays = false) {
  if (event.altKey || event.defaultPrevented || event.target instanceof HTMLInputElement) return;
  if (event.ctrlKey || event.metaKey) return stays ? undefined : control(panel, event);
  if (event.key === 'Escape') {
    if (panel.escape()) event.preventDefault();
    return;
  }
  /** @type {Record<string, () => void>} */
  const keys = {
    '/': () => panel.openSearch(),
    n: () => void panel.step(panel.finder, 1),
    N: () => void panel.step(panel.finder, -1),
    e: () => void panel.step(panel.errors, 1),
    E: () => void panel.step(panel.errors, -1),
    f: () => panel.toggleFollow(),
    w: () => panel.toggleWrap(),
    t: () => panel.nextTimes(),
    d: () => panel.openDerivations(),
    z: () => panel.toggleFold(false),
    Z: () => panel.toggleFold(true),
    o: () => panel.onOther('older'),
    O: () => panel.onOther('newer'),
    l: () => void panel.copyLink(),
    '?': () => showHelp(),
  };
  const act = keys[keyOf(event)];
  if (!act) return stays ? undefined : moveKey(panel.view, event);
  event.preventDefault();
  event.stopPropagation();
  act();
}

/** What the browser would do with what is mounted, done with the whole log. @param {import('./log-panel.js').LogPanel} panel @param {KeyboardEvent} event */
function control(panel, event) {
  if (event.shiftKey) return;
  const key = keyOf(event);
  if (key === 'f') panel.openSearch();
  else if (key === 'a') panel.view.selection.all();
  else if (key === 'p' && panel.prints) void panel.print();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
