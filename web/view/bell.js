/** A notification of the browser's when a run ends that was begun or watched here, for whoever asked for it. */

import { shownText } from '../model/ansi.js';
import { runState, STATES } from '../model/status.js';
import { resultText } from '../model/summary.js';
import { runPath } from '../model/route.js';
import { commandLabel } from '../model/words.js';
import { h, setAttribute } from './dom.js';
import { icon } from './icons.js';

const KEY = 'switchyard.notify';

export class Bell extends HTMLElement {
  #context;
  #button = h('button', { type: 'button', class: 'quiet notify', onclick: () => void this.#toggle() });
  /** Runs that were seen to go on. @type {Set<string>} */
  #going = new Set();

  /** @param {Pick<import('./context.js').Context, 'fleet' | 'toasts' | 'go'>} context */
  constructor(context) {
    super();
    this.#context = context;
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(this.#button);
    this.hidden = !('Notification' in window);
    this.#context.fleet.onChange((host) => host && this.#look(host));
    this.#draw();
  }

  get #on() {
    return localStorage.getItem(KEY) === '1' && Notification.permission === 'granted';
  }

  async #toggle() {
    if (this.#on) localStorage.removeItem(KEY);
    else if ((await Notification.requestPermission()) === 'granted') localStorage.setItem(KEY, '1');
    else this.#context.toasts.error('The browser blocks notifications for this site', 'Allow them in the browser’s site settings, then try again.');
    this.#draw();
  }

  #draw() {
    const on = !this.hidden && this.#on;
    const label = `Notify: ${on ? 'on' : 'off'}. Browser notification when a run ends`;
    this.#button.replaceChildren(icon('bell'), h('span', {}, `Notify: ${on ? 'on' : 'off'}`));
    setAttribute(this.#button, 'aria-label', label);
    setAttribute(this.#button, 'title', label);
    setAttribute(this.#button, 'aria-pressed', String(on));
  }

  /** @param {string} id */
  #look(id) {
    const run = this.#context.fleet.hosts.get(id)?.run;
    if (!run) return;
    const key = `${id}/${run.run_id}`;
    if (run.status === 'running') this.#going.add(key);
    if (run.status === 'running' || run.status === 'queued' || !this.#going.delete(key)) return;
    // Who looks at the page sees it anyway.
    if (!this.#on || !document.hidden) return;
    const state = STATES[runState(run)];
    const notification = new Notification(shownText(`${state.glyph} ${commandLabel(run.command)} on ${id}: ${state.word}`), { body: shownText(resultText(run)), tag: key });
    notification.onclick = () => {
      window.focus();
      this.#context.go(runPath(id, run.run_id));
      notification.close();
    };
  }
}

customElements.define('sy-bell', Bell);
