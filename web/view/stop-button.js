/** Ends a run, or takes it out of the queue; shows for how long it has been stopping. */

import { isBusy } from '../model/status.js';
import { isActivating, VIEWER } from '../model/words.js';
import { h, setAttribute, setHint, setText } from './dom.js';
import { icon } from './icons.js';

/** @typedef {import('../model/types.js').Run} Run */

export class StopButton extends HTMLElement {
  #actions;
  /** @type {Run | null} */
  #run = null;
  #text = h('span', {});
  #button = h('button', { type: 'button', class: 'stop', onclick: () => this.#run && void this.#actions.stop(this.#run) }, icon('stopped'), this.#text);

  /** @param {import('./actions.js').Actions} actions */
  constructor(actions) {
    super();
    this.#actions = actions;
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#button);
  }

  /** @param {Run | null | undefined} run */
  update(run) {
    this.hidden = !isBusy(run);
    if (!run || this.hidden) return;
    this.#run = run;
    const { forbidden } = this.#actions;
    const waiting = run.status === 'queued';
    const ms = this.#actions.stoppingFor(run);
    const verb = waiting ? 'Cancel' : 'Stop';
    // A host out of contact is told once it is back; how long that takes nobody knows.
    const away = !waiting && !this.#actions.isOnline(run.host_id);
    const stopping = away ? 'Stops when reconnected' : `${waiting ? 'Canceling' : 'Stopping'}… ${Math.floor((ms ?? 0) / 1000)} s`;
    setText(this.#text, ms === null ? verb : stopping);
    this.#button.disabled = forbidden || ms !== null;
    const hint = waiting ? `Remove ${run.command} from the queue` : isActivating(run) ? 'The host is activating: you will be asked first' : `Stop ${run.command} on ${run.host_id}`;
    const limit = waiting ? 'The run is removed from the queue' : 'The run has 10 s to stop, then it is killed';
    const asked = away ? `No contact with ${run.host_id}. The run stops when ${run.host_id} reconnects.` : limit;
    setHint(this.#button, forbidden ? VIEWER : ms !== null ? asked : hint);
    setAttribute(this.#button, 'aria-label', ms === null ? `${verb} ${run.command} on ${run.host_id}` : null);
  }
}

customElements.define('sy-stop', StopButton);
