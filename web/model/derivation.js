/** Output of single derivations: nix puts the name before each line, `nginx-1.29> checking for gcc`. */

/** `nginx-1.29` of a line of its output; null of any other line. @param {string} line */
export function derivationOf(line) {
  return line.match(/^([\w+.?=-]+)> /)?.[1] ?? null;
}

/** What finds the lines of a derivation. @param {string} name @returns {import('./find.js').Query} */
export function outputQuery(name) {
  return { text: `^${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}> `, regex: true, matchCase: true };
}

/** What finds the lines that say that a derivation is being built. @type {import('./find.js').Query} */
export const BUILDING = { text: "^building '/nix/store/[0-9a-z]{32}-", regex: true, matchCase: true };

/** The name of the derivation that such a line is about. @param {string} line */
export function builtName(line) {
  return line.match(/building '\/nix\/store\/[0-9a-z]{32}-(.+?)(?:\.drv)?'/)?.[1] ?? null;
}
