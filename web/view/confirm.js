/** A question before something that cannot be taken back. */

import { h, setText } from './dom.js';

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

/**
 * The same, with the password of who is asked, which the dashboard checks: a wrong one can be typed anew.
 * @param {{title: string, text: string[], yes: string, no: string}} question
 * @param {(password: string) => Promise<unknown>} act @returns {Promise<boolean>} whether it was done
 */
export function confirmWithPassword({ title, text, yes, no }, act) {
  return new Promise((resolve) => {
    const close = (/** @type {boolean} */ done) => {
      dialog.close();
      dialog.remove();
      resolve(done);
    };
    const password = h('input', { type: 'password', required: true, autofocus: true, autocomplete: 'current-password' });
    const problem = h('p', { class: 'login-problem', role: 'alert' });
    const button = h('button', { type: 'submit', class: 'danger' }, yes);
    const submit = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      button.disabled = true;
      setText(problem, '');
      try {
        await act(password.value);
        close(true);
      } catch (error) {
        setText(problem, error instanceof Error ? error.message : String(error));
        password.select();
      } finally {
        button.disabled = false;
      }
    };
    const dialog = h(
      'dialog',
      { class: 'confirm', 'aria-labelledby': 'confirm-title', oncancel: () => close(false) },
      h(
        'form',
        { onsubmit: (/** @type {SubmitEvent} */ event) => void submit(event) },
        h('h2', { id: 'confirm-title' }, title),
        ...text.map((paragraph) => h('p', {}, paragraph)),
        h('div', { class: 'fields' }, h('div', {}, h('label', {}, 'Your password', password))),
        problem,
        h('div', { class: 'confirm-buttons' }, h('button', { type: 'button', onclick: () => close(false) }, no), button),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
