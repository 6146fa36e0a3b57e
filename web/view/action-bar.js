/** The buttons of a host: Deploy with a menu of the other commands; Stop takes their place while something runs. */

import { isBusy } from '../model/status.js';
import { conflictText } from '../model/summary.js';
import { commandDoing, commandHelp, commandLabel, menuCommands, VIEWER } from '../model/words.js';
import { h, setAttribute, setHint, setText } from './dom.js';
import { icon } from './icons.js';
import { Menu } from './menu.js';
import { StopButton } from './stop-button.js';

/** @typedef {import('../model/types.js').Host} Host */

export class ActionBar extends HTMLElement {
  #context;
  #started;
  #deploy = h('button', { type: 'button', class: 'soft', 'data-command': 'deploy', onclick: () => void this.#run('deploy') });
  #menu;
  #stop;
  /** @type {Host | null} */
  #host = null;

  /**
   * @param {import('./context.js').Context} context
   * @param {(run: string) => void} started called with the id of a run that was started here
   */
  constructor(context, started) {
    super();
    this.#context = context;
    this.#started = started;
    this.#menu = new Menu(icon('down'), (command) => void this.#run(command));
    this.#stop = new StopButton(context.actions);
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#deploy, this.#menu, this.#stop);
  }

  /** @param {Host} host */
  update(host) {
    this.#host = host;
    const { actions } = this.#context;
    const doing = actions.pending(host.id);
    const busy = isBusy(host.run) && !doing;
    const missing = host.commands?.length ? ['pull', 'switch'].filter((name) => !host.commands?.includes(name)) : [];
    this.#deploy.hidden = this.#menu.hidden = busy;
    const refused = actions.forbidden ? VIEWER : host.conflict ? `${conflictText(host)}: choose one first` : '';
    this.#deploy.disabled = Boolean(doing) || missing.length > 0 || refused !== '';
    this.#deploy.classList.toggle('doing', Boolean(doing));
    setText(this.#deploy, doing ? commandDoing(doing) : commandLabel('deploy'));
    setAttribute(this.#deploy, 'aria-label', doing ? null : `Deploy ${host.id}`);
    setHint(this.#deploy, refused ? refused : missing.length > 0 ? `${host.id} does not offer ${missing.join(' and ')}` : commandHelp('deploy'));
    const items = menuCommands(host.commands).map((name) => ({ name, label: commandLabel(name), help: commandHelp(name), of: host.id }));
    this.#menu.update(items, Boolean(doing) || refused !== '');
    setHint(this.#menu, refused);
    this.#menu.name = `More commands for ${host.id}`;
    this.refreshStop();
    this.#stop.hidden ||= !busy;
  }

  /** What of it changes with the clock. */
  refreshStop() {
    if (this.#host && !this.#context.actions.pending(this.#host.id)) this.#stop.update(this.#host.run);
  }

  /** @param {string} command */
  async #run(command) {
    if (!this.#host) return;
    const run = await this.#context.actions.start(this.#host.id, command);
    if (run) this.#started(run);
  }
}

customElements.define('sy-actions', ActionBar);
