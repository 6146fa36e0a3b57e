/** Output of single derivations: nix puts the name before each line, `nginx-1.29> checking for gcc`. */

/** `nginx-1.29` of a line of its output; null of any other line. @param {string} line */
export function derivationOf(line) {
  return line.match(/^([\w+.?=-]+)> /)?.[1] ?? null;
}

/** `linux-modules` of `linux-modules-6.12`: `nix -L` prints names without their versions. @param {string} name */
export function withoutVersion(name) {
  return name.replace(/-[^A-Za-z].*/, '');
}

/** What finds the lines of a derivation. @param {string} name @returns {import('./find.js').Query} */
export function outputQuery(name) {
  return { text: `^${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}> `, regex: true, matchCase: true };
}

/**
 * Searches a log for the output of a derivation: for lines with its whole name, and where there are none, for those
 * with the name that `nix -L` gives it.
 * @template {{seq: number}} Match
 */
export class Output {
  #search;
  /** The name as the lines have it. */
  printed;

  /** @param {string} name @param {(query: import('./find.js').Query, from: number, limit: number) => Promise<{total: number, matches: Match[]}>} search */
  constructor(name, search) {
    this.name = this.printed = name;
    this.#search = search;
  }

  /** @param {number} from a line @param {number} limit of `matches` */
  async find(from, limit) {
    const found = await this.#search(outputQuery(this.printed), from, limit);
    const short = withoutVersion(this.name);
    if (found.total > 0 || this.printed === short) return found;
    const others = await this.#search(outputQuery(short), from, limit);
    if (others.total > 0) this.printed = short;
    return others;
  }
}

/** What finds the lines that say that a derivation is being built. @type {import('./find.js').Query} */
export const BUILDING = { text: "^building '/nix/store/[0-9a-z]{32}-", regex: true, matchCase: true };

/** The name of the derivation that such a line is about. @param {string} line */
export function builtName(line) {
  return line.match(/building '\/nix\/store\/[0-9a-z]{32}-(.+?)(?:\.drv)?'/)?.[1] ?? null;
}
