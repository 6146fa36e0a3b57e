/** The derivations that a run built, to see the output of one alone. */

import { BUILDING, builtName } from '../model/derivation.js';
import { count, plural } from '../model/format.js';
import { Menu } from './menu.js';

const MAX_DERIVATIONS = 1000;

/**
 * @param {import('./context.js').Context} context @param {import('../model/types.js').Run} run
 * @param {(name: string) => void} pick called with the empty name for everything
 */
export function derivationMenu({ api, toasts }, run, pick) {
  const menu = new Menu('All output', pick);
  menu.onOpen = async () => {
    try {
      const { total, matches } = await api.search(run.host_id, run.run_id, BUILDING, 0, MAX_DERIVATIONS);
      const names = [...new Set(matches.map(({ line }) => builtName(line) ?? ''))].filter(Boolean);
      const label = total === 0 ? 'Nothing was built in this run' : 'All output';
      const help = total > matches.length ? `${plural(total, 'derivation')}, the first ${count(matches.length)} are listed` : 'All lines of the run';
      menu.update([{ name: '', label, help }, ...names.map((name) => ({ name, label: name, help: '' }))], false);
    } catch (error) {
      toasts.error('Could not load the derivations of this run', error);
    }
  };
  return menu;
}
