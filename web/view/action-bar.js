/** The buttons of a host. A busy host's say what it does and are disabled; nothing changes its place. */

import { isBusy } from '../model/status.js';
import { commandDoing, commandHelp, commandLabel, isActivating, MAIN_COMMANDS, menuCommands } from '../model/words.js';
import { h, setHint, setText } from './dom.js';
import { Menu } from './menu.js';

/** @typedef {import('../model/types.js').Host} Host */

const MAY_LOOK = 'Your role may look, and not act: ask an admin for the role operator';

export class ActionBar extends HTMLElement {
  #context;
  #started;
  /** @type {Map<string, HTMLButtonElement>} */
  #buttons = new Map();
  #menu;
  #stop = h('button', { type: 'button', class: 'stop' });
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
    this.#menu = new Menu('More ▾', (command) => void this.#run(command));
    this.#stop.addEventListener('click', () => {
      if (this.#host?.run) void context.actions.stop(this.#host.run);
    });
    for (const command of MAIN_COMMANDS) {
      const button = h('button', { type: 'button', 'data-command': command, onclick: () => void this.#run(command) });
      button.classList.toggle('soft', command === 'switch');
      this.#buttons.set(command, button);
    }
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(...this.#buttons.values(), this.#menu, this.#stop);
  }

  /** @param {Host} host */
  update(host) {
    this.#host = host;
    const run = host.run;
    const busy = isBusy(run);
    const { forbidden } = this.#context.actions;
    const doing = this.#context.actions.pending(host.id) ?? (busy ? run?.command : null);
    for (const [command, button] of this.#buttons) {
      const offered = !host.commands?.length || host.commands.includes(command);
      button.disabled = Boolean(doing) || !offered || forbidden;
      setText(button, doing === command ? commandDoing(command) : commandLabel(command));
      button.classList.toggle('doing', doing === command);
      setHint(button, forbidden ? MAY_LOOK : offered ? commandHelp(command) : `${host.id} does not offer ${command}`);
    }
    const commands = menuCommands(host.commands);
    this.#menu.update(commands.map((name) => ({ name, label: commandLabel(name), help: commandHelp(name) })), Boolean(doing) || forbidden);
    this.#menu.hidden = busy;
    this.#stop.hidden = !busy;
    this.#stop.disabled = forbidden;
    if (!busy || !run) return;
    const waiting = run.status === 'queued';
    setText(this.#stop, waiting ? '■ Cancel' : '■ Stop');
    const hint = waiting ? 'Take it out of the queue' : isActivating(run) ? 'It is activating: stopping asks first' : `End ${run.command} on ${host.id}`;
    setHint(this.#stop, forbidden ? MAY_LOOK : hint);
  }

  /** @param {string} command */
  async #run(command) {
    if (!this.#host) return;
    const run = await this.#context.actions.start(this.#host.id, command);
    if (run) this.#started(run);
  }
}

customElements.define('sy-actions', ActionBar);
