/** The places of the page and their addresses. */

/** @typedef {{name: 'fleet'} | {name: 'access'} | {name: 'host', host: string} | {name: 'run', host: string, run: string}} Route */

export const ACCESS_PATH = '/access';

/** What is no place of ours leads to the fleet. @param {string} path @returns {Route} */
export function parseRoute(path) {
  const parts = path.split('/').filter(Boolean).map(decode);
  if (parts[0] === 'hosts' && parts[1]) {
    if (parts[2] === 'runs' && parts[3]) return { name: 'run', host: parts[1], run: parts[3] };
    return { name: 'host', host: parts[1] };
  }
  return { name: path === ACCESS_PATH ? 'access' : 'fleet' };
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @param {string} host */
export function hostPath(host) {
  return `/hosts/${encodeURIComponent(host)}`;
}

/** @param {string} host @param {string} run */
export function runPath(host, run) {
  return `${hostPath(host)}/runs/${encodeURIComponent(run)}`;
}
