/** The keys of a log. */

import { h } from './dom.js';

/** @type {[string, string][]} */
const KEYS = [
  ['/  Ctrl F', 'search the whole log'],
  ['n  N', 'next, previous match'],
  ['e  E', 'next, previous error'],
  ['f', 'turn following on or off'],
  ['End  Space  G', 'go to the end and follow'],
  ['Home  g', 'go to the beginning'],
  ['↑ ↓  PageUp PageDown', 'move by a line, by a page'],
  ['w', 'wrap long lines'],
  ['t', 'times: local, UTC, since the start, hidden'],
  ['d', 'show one derivation’s output, or all output'],
  ['z  Z', 'fold or unfold the derivation or phase at the top, all phases'],
  ['o  O', 'the older, the newer run of this host'],
  ['Ctrl P', 'print the log'],
  ['l', 'copy a link to the lines in view, or to the marked lines'],
  ['Ctrl A  Ctrl C', 'select the whole log, copy; Shift-click extends a selection'],
  ['Esc', 'close the search, clear the selection, leave full screen'],
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
    h('p', { class: 'quiet' }, 'Click a line number to mark the line and put it into the address. Shift-click marks all lines up to it.'),
    h('div', { class: 'confirm-buttons' }, h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Close')),
  );
  document.body.append(dialog);
  dialog.showModal();
}
