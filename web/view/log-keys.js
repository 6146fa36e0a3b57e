/** The keys of a log, wherever in its panel the focus is. */

import { showHelp } from './help.js';
import { moveKey } from './log-intents.js';

/** @param {import('./log-panel.js').LogPanel} panel @param {KeyboardEvent} event */
export function logKey(panel, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target instanceof HTMLInputElement) return;
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
    l: () => void panel.copyLink(),
    '?': () => showHelp(),
  };
  const act = keys[event.key];
  if (!act) return moveKey(panel.view, event);
  event.preventDefault();
  event.stopPropagation();
  act();
}
