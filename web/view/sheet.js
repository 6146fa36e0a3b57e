/** What a command will do, host by host, before it is sent to several of them. */

import { count, plural } from '../model/format.js';
import { sheetGroups, sheetText, sheetTitle } from '../model/sheet.js';
import { commandsVerb } from '../model/words.js';
import { h } from './dom.js';

/** @typedef {import('../model/fleet.js').Fleet} Fleet */

/** Hundreds of hosts at once would hold the page up. */
const ITEMS_A_FRAME = 40;

/**
 * Shows the hosts, and gives those that the commands go to; null where the person does not want it.
 * @param {Fleet} fleet @param {string[]} ids @param {string[]} commands one after the other @returns {Promise<string[] | null>}
 */
export function askSheet(fleet, ids, commands) {
  const hosts = ids.map((id) => fleet.hosts.get(id) ?? { id, online: false });
  const groups = sheetGroups(hosts, commands);
  const wanted = groups.filter(({ sent }) => sent).flatMap(({ items }) => items.map(({ host }) => host));
  return new Promise((resolve) => {
    /** @param {string[] | null} answer */
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const lists = groups.map(({ title, note, items }) => ({
      items,
      list: h('ul', { role: 'list' }),
      head: h('header', {}, h('h3', {}, `${title} (${count(items.length)})`), note && h('p', { class: 'quiet' }, note)),
    }));
    const dialog = h(
      'dialog',
      { class: 'confirm sheet', 'aria-labelledby': 'sheet-title', oncancel: () => close(null) },
      h('h2', { id: 'sheet-title' }, sheetTitle(commands, ids, wanted.length)),
      h('p', { class: 'quiet' }, sheetText(commands)),
      h('div', { class: 'sheet-hosts', tabindex: 0, role: 'group', 'aria-label': 'Hosts' }, ...lists.map(({ head, list }) => h('section', {}, head, list))),
      h(
        'div',
        { class: 'confirm-buttons' },
        h('button', { type: 'button', autofocus: true, onclick: () => close(null) }, 'Cancel'),
        h('button', { type: 'button', class: 'primary', disabled: wanted.length === 0, onclick: () => close(wanted) }, `${commandsVerb(commands)} ${plural(wanted.length, 'host')}`),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
    const rest = lists.flatMap(({ items, list }) => items.map((item) => ({ item, list })));
    const fill = () => {
      for (const { item, list } of rest.splice(0, ITEMS_A_FRAME)) list.append(h('li', {}, h('strong', {}, item.host), h('span', { title: item.change }, item.change), h('span', { class: 'quiet' }, item.note)));
      if (rest.length > 0 && dialog.open) requestAnimationFrame(fill);
    };
    // Opening it styles all of the page anew, which cannot be used meanwhile: that is enough for one task.
    requestAnimationFrame(fill);
  });
}
