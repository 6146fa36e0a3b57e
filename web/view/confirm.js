/** A question before something that cannot be taken back. */

import { h } from './dom.js';

/**
 * @param {{title: string, text: string[], yes: string, no: string}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, yes, no }) {
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ said) => () => {
      dialog.close();
      dialog.remove();
      resolve(said);
    };
    const dialog = h(
      'dialog',
      { class: 'confirm', 'aria-labelledby': 'confirm-title', oncancel: answer(false) },
      h('h2', { id: 'confirm-title' }, title),
      ...text.map((paragraph) => h('p', {}, paragraph)),
      h(
        'div',
        { class: 'confirm-buttons' },
        h('button', { type: 'button', autofocus: true, onclick: answer(false) }, no),
        h('button', { type: 'button', class: 'danger', onclick: answer(true) }, yes),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
