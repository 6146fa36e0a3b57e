/** Why a run failed, as the run tells it: what failed, and on which lines of its log. */

import { derivationOf, withoutVersion } from './derivation.js';
import { lowerBound } from './find.js';
import { lineKind } from './line-kind.js';

/** @typedef {import('./types.js').Cause} Cause */
/** @typedef {import('./types.js').Line} Line */
/**
 * Lines of the log, the last one too; `line` says most. Of a derivation only its own lines count, where others build at once.
 * @typedef {{from: number, to: number, line: number, own: string | null}} Range
 */
/** @typedef {{seq: number, text: string}} Quoted a line as a card shows it */

/** How many of a cause's own lines a card shows. */
export const SHOWN = 8;
/** Where several derivations build at once, so many lines are looked through for those of one. */
const LOOKED_THROUGH = 1000;

/** The lines of a cause; null where it has none in the log. @param {Cause} cause @returns {Range | null} */
export function rangeOf({ kind, name, from, to, line }) {
  const first = from ?? line ?? to;
  if (first == null) return null;
  return { from: first, to: Math.max(first, to ?? line ?? first), line: line ?? first, own: kind === 'derivation' && name ? name : null };
}

/** Where a failed run says why, in the order of the log. @param {import('./types.js').Run} run @returns {Range[]} */
export function rangesOf(run) {
  return (run.cause ?? []).map(rangeOf).filter((range) => range !== null).sort((a, b) => a.line - b.line);
}

/**
 * How a line stands out: by the ranges where there are any, by what it says where there are none.
 * @param {Range[]} ranges @param {number} seq @param {string} line
 */
export function markOf(ranges, seq, line) {
  const kind = lineKind(line);
  if (ranges.length === 0) return kind;
  if (ranges.some((range) => range.line === seq)) return 'error cause';
  const builder = derivationOf(line);
  const within = ranges.filter(({ from, to, own }) => seq >= from && seq <= to && (own === null || builder === null || isName(builder, own)));
  if (within.length > 0) return kind === 'error' ? 'error cause' : 'cause';
  return kind === 'warning' ? kind : null;
}

/** The places of a run's causes: stepped through like the matches of a search. */
export class CauseLines {
  /** @param {Range[]} ranges */
  constructor(ranges) {
    this.ranges = ranges;
    this.problem = '';
    this.seqs = [...new Set(ranges.map(({ line }) => line))];
  }

  get total() {
    return this.seqs.length;
  }

  async more() {}

  /** @param {number} seq @param {1 | -1} direction @returns {Promise<number | null>} */
  async step(seq, direction) {
    const { seqs } = this;
    if (direction > 0) return seqs[lowerBound(seqs, seq + 1)] ?? seqs[0] ?? null;
    return seqs[lowerBound(seqs, seq) - 1] ?? seqs.at(-1) ?? null;
  }
}

/**
 * The last lines of a cause that are its own, and among them the one that says most.
 * @param {Cause} cause @param {(from: number, limit: number) => Promise<(Line & {seq: number})[]>} read lines of the log
 * @returns {Promise<Quoted[]>}
 */
export async function quote(cause, read) {
  const range = rangeOf(cause);
  if (!range) return [];
  const from = Math.max(range.from, range.to - LOOKED_THROUGH + 1);
  const lines = await read(from, range.to - from + 1);
  const whole = lines.filter(({ line }) => derivationOf(line) === range.own);
  const own = range.own === null ? [] : whole.length > 0 ? whole : lines.filter(({ line }) => derivationOf(line) === withoutVersion(range.own ?? ''));
  const all = own.length > 0 ? own : lines;
  const last = all.slice(-SHOWN);
  if (!last.some(({ seq }) => seq === range.line)) {
    const [telling] = lines.filter(({ seq }) => seq === range.line).concat(range.line < from || range.line > range.to ? await read(range.line, 1) : []);
    if (telling) last.splice(0, last.length < SHOWN ? 0 : 1, telling);
    last.sort((a, b) => a.seq - b.seq);
  }
  return last.map(({ seq, line }) => ({ seq, text: range.own === null ? line : withoutName(line, range.own) }));
}

/** @param {string} line @param {string} name of the derivation that the card names already */
function withoutName(line, name) {
  const builder = derivationOf(line);
  return builder !== null && isName(builder, name) ? line.slice(builder.length + 2) : line;
}

/** Whether a line's derivation is this one, with its version or without. @param {string} builder @param {string} name */
function isName(builder, name) {
  return builder === name || builder === withoutVersion(name);
}
