/** What to do while there are no hosts. */

import { ACCESS_PATH } from '../model/route.js';
import { h } from './dom.js';

export function emptyFleet() {
  const agent = `services.switchyard.agent.enable = true;
services.switchyard.agent.tokenFile = "/run/secrets/switchyard-token";
services.switchyard.agent.settings.dashboard = "${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}";`;
  return h(
    'section',
    { class: 'empty', hidden: true },
    h('img', { src: '/icons/idle.svg', alt: '', width: 48, height: 48 }),
    h('h2', {}, 'No hosts yet'),
    h('p', {}, 'A host appears here as soon as it has a token. It is online when its agent connects.'),
    step('Create a token for the host. The command prints the token, and the line for the dashboard’s agents file.', 'switchyard token HOST'),
    step('Put the token into a secret of the host. Add these three lines to its NixOS configuration, which imports the agent’s module.', agent),
    step('Activate that configuration on the host. Later you can do this from this page.', 'nixos-rebuild switch'),
    h('p', { class: 'quiet' }, 'An admin can also create the token under ', h('a', { href: ACCESS_PATH }, 'Access'), '. To look around first, run ', h('code', {}, 'switchyard demo'), '.'),
  );
}

/** @param {string} text @param {string} code */
function step(text, code) {
  return h('div', { class: 'step' }, h('p', {}, text), h('pre', {}, code));
}
