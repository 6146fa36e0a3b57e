/** What a token that is made is good for, how long, and where it goes. */

/** @typedef {'agent' | 'enrolment' | 'api'} Kind */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** How long a token may last: name, words, and milliseconds; null for ever. Without a word from us the dashboard sets an end. @type {[string, string, number | null][]} */
export const LIFETIMES = [
  ['1 h', 'in 1 hour', HOUR],
  ['1 d', 'in 1 day', DAY],
  ['7 d', 'in 7 days', 7 * DAY],
  ['30 d', 'in 30 days', 30 * DAY],
  ['90 d', 'in 90 days', 90 * DAY],
  ['1 y', 'in 1 year', 365 * DAY],
  ['never', 'never', null],
];

/** As the dashboard wants it: a time, or `never`. @param {string} name @param {number} now ms */
export function expiresIn(name, now) {
  const lifetime = LIFETIMES.find(([one]) => one === name)?.[2] ?? null;
  return lifetime === null ? 'never' : new Date(now + lifetime).toISOString();
}

/**
 * Where a new token goes.
 * @param {Kind} kind @param {string} name of the host or user @param {boolean} replaces whether the host has one already
 * @param {{protocol: string, host: string, origin: string}} at the address of the dashboard
 */
export function tokenPlace(kind, name, replaces, at) {
  if (kind === 'api') {
    return {
      title: `API token ${name}`,
      text: ['Send it in the header “Authorization: Bearer TOKEN”. Never put it into an address.'],
      code: `curl --header "Authorization: Bearer $TOKEN" ${at.origin}/api/hosts`,
    };
  }
  const dashboard = `${at.protocol === 'https:' ? 'wss' : 'ws'}://${at.host}`;
  if (kind === 'enrolment') {
    return {
      title: 'Enrolment secret',
      text: ['Put it alone into a file on the new host, and set enrolment_file instead of token_file in the agent’s configuration. The agent exchanges it for its own token, once.'],
      code: `dashboard = "${dashboard}"\nenrolment_file = "/run/secrets/switchyard-enrolment"`,
    };
  }
  const next = replaces
    ? `Then restart its agent: systemctl restart switchyard-agent. Until then ${name} uses its old token. The list of tokens says when you can revoke the old one.`
    : `Then run nixos-rebuild switch there, or restart its agent: systemctl restart switchyard-agent.`;
  return {
    title: `New token of ${name}`,
    text: [`Put it alone into the token file of ${name}, without the host’s name. On NixOS this is the file that tokenFile names. ${next}`],
    code: `services.switchyard.agent.tokenFile = "/run/secrets/switchyard-token";\nservices.switchyard.agent.settings.dashboard = "${dashboard}";`,
  };
}
