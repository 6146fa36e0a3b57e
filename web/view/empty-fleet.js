/** What to do while there are no hosts. */

import { h } from './dom.js';

export function emptyFleet() {
  const agent = `dashboard = "${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}"
host_id = "HOST"
token_file = "/run/secrets/switchyard-token"
state_dir = "/var/lib/switchyard-agent"`;
  return h(
    'section',
    { class: 'empty', hidden: true },
    h('img', { src: '/icons/idle.svg', alt: '', width: 48, height: 48 }),
    h('h2', {}, 'No hosts yet'),
    h('p', {}, 'A host appears here as soon as its token is known, and comes to life when its agent connects.'),
    step('Make a token for the host, and put the second line into the dashboard’s agents file.', 'switchyard token HOST'),
    step('Give the token to the agent, and tell it where this dashboard is.', agent),
    step('Start it on the host.', 'switchyard agent --config agent.toml'),
    h('p', { class: 'quiet' }, 'To look around first, run ', h('code', {}, 'switchyard demo'), '.'),
  );
}

/** @param {string} text @param {string} code */
function step(text, code) {
  return h('div', { class: 'step' }, h('p', {}, text), h('pre', {}, code));
}
