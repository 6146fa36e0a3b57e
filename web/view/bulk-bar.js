/** The heading of the list: select all, and commands for the hosts that are selected. */

import { plural } from '../model/format.js';
import { commandHelp, commandLabel, MAIN_COMMANDS, menuCommands } from '../model/words.js';
import { confirm } from './confirm.js';
import { h, setText } from './dom.js';
import { Menu } from './menu.js';

export class BulkBar extends HTMLElement {
  #context;
  #selected;
  #answered;
  #all;
  #text = h('span', { class: 'bulk-text' });
  #buttons;
  #stop = h('button', { type: 'button', class: 'stop', title: 'End their runs, or take them out of the queue', onclick: () => void this.#stopAll() }, '■ Stop');
  #menu = new Menu('More ▾', (command) => void this.#run(command));

  /**
   * @param {import('./context.js').Context} context
   * @param {() => import('./host-row.js').HostRow[]} selected rows on screen that are selected
   * @param {(on: boolean) => void} selectAll
   * @param {(command: string, answers: import('../model/bulk.js').Answer[]) => void} answered
   */
  constructor(context, selected, selectAll, answered) {
    super();
    this.#context = context;
    this.#selected = selected;
    this.#answered = answered;
    this.#all = h('input', { type: 'checkbox', 'aria-label': 'Select all hosts that are shown', onchange: () => selectAll(this.#all.checked) });
    this.#buttons = MAIN_COMMANDS.map((command) =>
      h('button', { type: 'button', 'data-command': command, title: commandHelp(command), onclick: () => void this.#run(command) }, commandLabel(command)),
    );
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    const items = menuCommands(null).map((name) => ({ name, label: commandLabel(name), help: commandHelp(name) }));
    this.#menu.update(items, false);
    this.append(
      h('label', { class: 'row-select' }, this.#all),
      this.#text,
      h('div', { class: 'bulk-buttons' }, ...this.#buttons, this.#menu, this.#stop),
    );
    this.refresh();
  }

  refresh() {
    const selected = this.#selected();
    const n = selected.length;
    setText(this.#text, n === 0 ? 'Select hosts to act on several at once' : `${plural(n, 'host')} selected`);
    this.classList.toggle('active', n > 0);
    this.#stop.disabled = !selected.some((row) => row.busy);
    this.#all.indeterminate = n > 0 && !this.#all.checked;
    if (n === 0) this.#all.checked = false;
  }

  /** @param {string} command */
  async #run(command) {
    const hosts = this.#selected().map((row) => row.hostId);
    if (hosts.length === 0) return;
    const answers = await this.#context.actions.startMany(hosts, command);
    if (answers) this.#answered(command, answers);
  }

  async #stopAll() {
    const busy = this.#selected().filter((row) => row.busy).map((row) => row.hostId);
    const yes = await confirm({
      title: `Stop what ${plural(busy.length, 'host')} ${busy.length === 1 ? 'does' : 'do'}?`,
      text: ['Runs that wait are taken out of the queue. Runs that go on are ended, except those in the middle of an activation: they are left to finish.'],
      yes: 'Stop them',
      no: 'Let them run',
    });
    if (!yes) return;
    const answers = await this.#context.actions.startMany(busy, 'stop');
    if (answers) this.#answered('stop', answers);
  }
}

customElements.define('sy-bulk', BulkBar);
