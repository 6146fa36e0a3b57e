/** The heading of the list: select all, and commands for the hosts that are selected. */

import { plural } from '../model/format.js';
import { commandHelp, commandLabel, MAIN_COMMANDS, menuCommands } from '../model/words.js';
import { h, setText } from './dom.js';
import { Menu } from './menu.js';

export class BulkBar extends HTMLElement {
  #context;
  #selected;
  #all;
  #text = h('span', { class: 'bulk-text' });
  #buttons;
  #menu = new Menu('More ▾', (command) => void this.#run(command));

  /**
   * @param {import('./context.js').Context} context
   * @param {() => import('./host-row.js').HostRow[]} selected rows on screen that are selected
   * @param {(on: boolean) => void} selectAll
   */
  constructor(context, selected, selectAll) {
    super();
    this.#context = context;
    this.#selected = selected;
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
      h('div', { class: 'bulk-buttons' }, ...this.#buttons, this.#menu),
    );
    this.refresh();
  }

  refresh() {
    const n = this.#selected().length;
    setText(this.#text, n === 0 ? 'Select hosts to act on several at once' : `${plural(n, 'host')} selected`);
    this.classList.toggle('active', n > 0);
    this.#all.indeterminate = n > 0 && !this.#all.checked;
    if (n === 0) this.#all.checked = false;
  }

  /** @param {string} command */
  async #run(command) {
    const hosts = this.#selected().map((row) => row.hostId);
    if (hosts.length > 0) await this.#context.actions.startMany(hosts, command);
  }
}

customElements.define('sy-bulk', BulkBar);
