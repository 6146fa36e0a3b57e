/** What a token that is made is good for, how long, and where it goes. */

/** @typedef {'agent' | 'enrolment' | 'api'} Kind */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** How long a token may last: name, words, and milliseconds; null for ever. Without a word from us the dashboard sets an end. @type {[string, string, number | null][]} */
export const LIFETIMES = [
  ['1 h', 'in an hour', HOUR],
  ['1 d', 'in a day', DAY],
  ['7 d', 'in 7 days', 7 * DAY],
  ['30 d', 'in 30 days', 30 * DAY],
  ['90 d', 'in 90 days', 90 * DAY],
  ['1 y', 'in a year', 365 * DAY],
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
      title: `The API token of ${name}`,
      text: ['It goes into the header “Authorization: Bearer TOKEN” of requests, and into no address:'],
      code: `curl --header "Authorization: Bearer $TOKEN" ${at.origin}/api/hosts`,
    };
  }
  const dashboard = `${at.protocol === 'https:' ? 'wss' : 'ws'}://${at.host}`;
  if (kind === 'enrolment') {
    return {
      title: 'The enrolment secret',
      text: ['It goes into a file of the host that is to enrol, alone. The agent’s configuration names that file in the place of token_file; the agent trades the secret for a token of its own, once.'],
      code: `dashboard = "${dashboard}"\nenrolment_file = "/run/secrets/switchyard-enrolment"`,
    };
  }
  const next = replaces
    ? `Then restart its agent: systemctl restart switchyard-agent. Until it comes with this one, ${name} goes on with its old token, and the list says when that one can be revoked.`
    : `Then switch to it, or restart its agent: systemctl restart switchyard-agent.`;
  return {
    title: `The new token of ${name}`,
    text: [`It goes into the token file of ${name}, alone, without the name of the host: on NixOS the secret that tokenFile names. ${next}`],
    code: `services.switchyard.agent.tokenFile = "/run/secrets/switchyard-token";\nservices.switchyard.agent.settings.dashboard = "${dashboard}";`,
  };
}
