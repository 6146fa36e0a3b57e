/** The order of the runs of a host. */

/** Ids begin with the time; in one second they are counted. */
const byId = new Intl.Collator('en', { numeric: true });

/**
 * Newest first: by number, which no clock decides, and by time where runs have none.
 * @param {{run_id: string, number?: number}} a @param {{run_id: string, number?: number}} b
 */
export function newestFirst(a, b) {
  return (b.number ?? 0) - (a.number ?? 0) || byId.compare(b.run_id, a.run_id);
}
