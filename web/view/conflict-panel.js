/** Two living machines with the token of one host: which they are, and the choice between them. */

import { plainName } from '../model/ansi.js';
import { age } from '../model/format.js';
import { conflictText } from '../model/summary.js';
import { confirm } from './confirm.js';
import { h, setHint, setText, setTime } from './dom.js';

/** @typedef {import('../model/types.js').Host} Host */
/** @typedef {import('../model/types.js').Machine} Machine */

export class ConflictPanel extends HTMLElement {
  #context;
  #title = h('h2', {});
  #list = h('ul', {});
  #drawn = '';
  /** @type {Host | null} */
  #host = null;
  #asking = false;

  /** @param {import('./context.js').Context} context */
  constructor(context) {
    super();
    this.#context = context;
    this.hidden = true;
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(
      this.#title,
      h('p', {}, 'Usually a machine was cloned with its token. No command is sent until you choose which machine is this host. The other machine cannot connect until it has its own name and token: create a token, put it on that machine, then restart its agent.'),
      this.#list,
    );
  }

  /** @param {Host} host */
  update(host) {
    this.#host = host;
    const { conflict } = host;
    this.hidden = !conflict;
    if (!conflict) return;
    const { actions, clock } = this.#context;
    setText(this.#title, conflictText(host));
    const key = JSON.stringify(conflict.machines.map(({ boot_id, installation_id, hostname, address, connected }) => [boot_id, installation_id, hostname, address, connected]));
    if (key !== this.#drawn) this.#list.replaceChildren(...conflict.machines.map((machine) => this.#item(machine)));
    this.#drawn = key;
    for (const [i, machine] of conflict.machines.entries()) {
      const item = this.#list.children[i];
      const [seen, button] = [item?.querySelector('.seen'), item?.querySelector('button')];
      if (seen) setTime(seen, machine.last_seen, machine.connected ? 'connected' : `last seen ${age(clock.now() - Date.parse(machine.last_seen))}`);
      if (!button) continue;
      button.disabled = !actions.isAdmin || this.#asking;
      setHint(button, actions.isAdmin ? `Use ${nameOf(machine)} as ${host.id}` : 'Only admins can choose. Ask an admin.');
    }
  }

  /** @param {Machine} machine */
  #item(machine) {
    const facts = [machine.address, `boot ${machine.boot_id.slice(0, 8)}`, machine.installation_id && `installation ${machine.installation_id.slice(0, 8)}`, machine.machine_id && `machine ${machine.machine_id.slice(0, 8)}`, machine.agent_version && `agent ${machine.agent_version}`];
    return h(
      'li',
      { 'data-boot': machine.boot_id },
      h('div', {}, h('strong', {}, hostname(machine) || 'unknown name'), ' ', h('span', { class: 'seen quiet' })),
      h('span', { class: 'quiet', title: `Boot id ${machine.boot_id}` }, facts.filter(Boolean).join(' · ')),
      h('button', { type: 'button', class: 'soft', 'aria-label': `Use this machine: ${nameOf(machine)}`, onclick: () => void this.#choose(machine) }, 'Use this machine'),
    );
  }

  /** @param {Machine} machine */
  async #choose(machine) {
    const host = this.#host;
    if (!host) return;
    const { api, toasts } = this.#context;
    const yes = await confirm({
      title: `Use ${nameOf(machine)} as ${host.id}?`,
      text: ['Other machines with this token are disconnected and refused while this one is online. Their runs continue but are not shown here.'],
      yes: 'Use this machine',
      no: 'Cancel',
    });
    if (!yes) return;
    this.#asking = true;
    try {
      await api.chooseMachine(host.id, machine.boot_id, machine.installation_id);
      toasts.notice(`${nameOf(machine)} is now ${host.id}`);
    } catch (error) {
      toasts.error('Could not choose the machine', error);
    } finally {
      this.#asking = false;
    }
  }
}

/** @param {Machine} machine */
function nameOf(machine) {
  const { address, boot_id } = machine;
  return `${hostname(machine) ? `“${hostname(machine)}”` : 'the machine'} at ${address ?? 'an unknown address'} (boot ${plainName(boot_id.slice(0, 8))})`;
}

/** As the machine says it, in at most as many characters as Linux lets it have: a longer one hides what is behind it. @param {Machine} machine */
function hostname({ hostname: said }) {
  return plainName((said ?? '').slice(0, 64));
}

customElements.define('sy-conflict', ConflictPanel);
