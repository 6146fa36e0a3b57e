/** The places of the page and their addresses. */

/** @typedef {{name: 'fleet'} | {name: 'nowhere'} | {name: 'access'} | {name: 'host', host: string} | {name: 'run', host: string, run: string}} Route */

export const ACCESS_PATH = '/access';

/** @param {string} path @returns {Route} */
export function parseRoute(path) {
  const parts = path.split('/').filter(Boolean).map(decode);
  const [first, host, runs, run] = parts;
  if (first === undefined) return { name: 'fleet' };
  if (first === 'hosts' && host) {
    if (parts.length === 2) return { name: 'host', host };
    if (parts.length === 4 && runs === 'runs' && run) return { name: 'run', host, run };
  }
  return { name: parts.length === 1 && `/${first}` === ACCESS_PATH ? 'access' : 'nowhere' };
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
