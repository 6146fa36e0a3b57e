/** The keys of a log. */

import { h } from './dom.js';

/** @type {[string, string][]} */
const KEYS = [
  ['/  Ctrl F', 'search the whole log'],
  ['n  N', 'next, previous match'],
  ['e  E', 'next, previous error'],
  ['f', 'follow the end, or not'],
  ['End  Space  G', 'go to the end and follow'],
  ['Home  g', 'go to the beginning'],
  ['↑ ↓  PageUp PageDown', 'move by a line, by a page'],
  ['w', 'wrap long lines'],
  ['t', 'times: local, UTC, since the start, hidden'],
  ['d', 'only the output of one derivation, or everything again'],
  ['z  Z', 'fold or unfold the derivation or phase at the upper edge, all phases'],
  ['o  O', 'the older, the newer run of this host'],
  ['Ctrl P', 'print the log'],
  ['l', 'copy a link to what is in view or marked'],
  ['Ctrl A  Ctrl C', 'select the whole log, copy; Shift and click extends a selection'],
  ['Esc', 'end the search, the selection, the full screen'],
  ['?', 'this list'],
];

export function showHelp() {
  if (document.querySelector('dialog.help')) return;
  const close = () => dialog.remove();
  const dialog = h(
    'dialog',
    { class: 'confirm help', 'aria-labelledby': 'help-title', onclose: close },
    h('h2', { id: 'help-title' }, 'Keys'),
    h('dl', { class: 'keys' }, ...KEYS.map(([keys, text]) => h('div', {}, h('dt', {}, ...keys.split(/ {1,2}/).map((key) => h('kbd', {}, key))), h('dd', {}, text)))),
    h('p', { class: 'quiet' }, 'A click on a line number marks it and makes it part of the address; with Shift, everything up to it.'),
    h('div', { class: 'confirm-buttons' }, h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Close')),
  );
  document.body.append(dialog);
  dialog.showModal();
}
