/** The heading of the list: select all, and commands for the hosts that are selected. */

import { plural } from '../model/format.js';
import { commandHelp, commandLabel, menuCommands, VIEWER } from '../model/words.js';
import { confirm } from './confirm.js';
import { h, setHint, setText } from './dom.js';
import { icon } from './icons.js';
import { Menu } from './menu.js';

export class BulkBar extends HTMLElement {
  #context;
  #selected;
  #selectAll;
  #answered;
  #all;
  #text = h('span', { class: 'bulk-text' });
  #deploy = h('button', { type: 'button', class: 'soft', 'data-command': 'deploy', title: commandHelp('deploy'), onclick: () => void this.#run('deploy') }, commandLabel('deploy'));
  #stop = h('button', { type: 'button', class: 'stop', title: 'Stop the runs of the selected hosts; queued ones are canceled', onclick: () => void this.#stopAll() }, icon('stopped'), h('span', {}, 'Stop'));
  #menu = new Menu(icon('down'), (command) => void this.#run(command));

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
    this.#selectAll = selectAll;
    this.#answered = answered;
    this.#all = h('input', { type: 'checkbox', 'aria-label': 'Select all hosts that are shown', onchange: () => selectAll(this.#all.checked) });
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.#menu.name = 'More commands for the selected hosts';
    this.append(
      h('label', { class: 'row-select' }, this.#all),
      this.#text,
      h('div', { class: 'bulk-buttons' }, h('div', { class: 'split' }, this.#deploy, this.#menu), this.#stop),
    );
    this.refresh();
  }

  refresh() {
    const selected = this.#selected();
    const n = selected.length;
    const { forbidden } = this.#context.actions;
    setText(this.#text, n > 0 ? `${plural(n, 'host')} selected` : forbidden ? VIEWER : 'Select hosts for bulk actions');
    this.classList.toggle('active', n > 0);
    this.#deploy.disabled = forbidden;
    setHint(this.#deploy, forbidden ? VIEWER : commandHelp('deploy'));
    this.#menu.update(menuCommands(null).map((name) => ({ name, label: commandLabel(name), help: commandHelp(name) })), forbidden);
    this.#stop.disabled = forbidden || !selected.some((row) => row.busy);
    this.#all.indeterminate = n > 0 && !this.#all.checked;
    if (n === 0) this.#all.checked = false;
  }

  /** @param {string} command */
  async #run(command) {
    await this.#send(this.#selected().map((row) => row.hostId), command);
  }

  async #stopAll() {
    const busy = this.#selected().filter((row) => row.busy).map((row) => row.hostId);
    const yes = await confirm({
      title: `Stop runs on ${plural(busy.length, 'host')}?`,
      text: ['Queued runs are canceled. Running ones are stopped, except on hosts that are activating.'],
      yes: `Stop ${plural(busy.length, 'run')}`,
      no: 'Let them run',
    });
    if (yes) await this.#send(busy, 'stop');
  }

  /** What was sent once is not sent again by mistake: nothing is selected afterwards. @param {string[]} hosts @param {string} command */
  async #send(hosts, command) {
    if (hosts.length === 0) return;
    const answers = await this.#context.actions.startMany(hosts, command);
    if (!answers) return;
    this.#selectAll(false);
    this.#answered(command, answers);
  }
}

customElements.define('sy-bulk', BulkBar);
