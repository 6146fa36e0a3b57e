/** The icons of the page: one set, drawn with the colour of the text beside them. */

const SVG = 'http://www.w3.org/2000/svg';

/** Paths in a square of 16 units. */
const PATHS = {
  ok: 'm3 8.5 3.5 3.5L13 4.5',
  failed: 'm4 4 8 8m0-8-8 8',
  idle: 'M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3',
  queued: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.2l2.2 1.3',
  running: 'm5 3.5 7 4.5-7 4.5z',
  stopped: 'M4.5 4.5h7v7h-7z',
  warning: 'M8 2.5 14 13H2zM8 6.5v3m0 1.900h.01',
  lost: 'M1.5 9.5h3l2-4 3 6 2-4h3',
  up: 'm4 10 4-4 4 4',
  down: 'm4 6 4 4 4-4',
  right: 'm6 4 4 4-4 4',
  left: 'm10 4-4 4 4 4',
  key: 'M10.5 9a3.5 3.5 0 1 0-3.3-2.3L2.5 11.4v2.1h2.6v-1.8h1.8L9.3 8.8c.4.1.8.2 1.2.2m.6-3.6h.01',
  system: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11v11',
  dark: 'M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5',
  light: 'M8 5.200a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.600M8 1v1.200m0 11.600V15M1 8h1.200m11.6 0H15M3 3l.9.9m8.2 8.2.9.9M3 13l.9-.9m8.2-8.2.9-.9',
  bell: 'M3.5 11.500h9L11.5 10V7a3.5 3.5 0 0 0-7 0v3zM6.8 13.500h2.4',
  download: 'M8 2.5v7.500m-3.2-3.200L8 10l3.2-3.200M3.500 13h9',
  close: 'm4.5 4.5 7 7m0-7-7 7',
};

/** Those that are filled. */
const SOLID = new Set(['running', 'stopped']);

/** @typedef {keyof typeof PATHS} Icon */

/** @param {Icon} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'path'));
  setIcon(svg, name);
  return svg;
}

/** @param {SVGElement} svg @param {Icon} name */
export function setIcon(svg, name) {
  if (svg.dataset.icon === name) return;
  svg.dataset.icon = name;
  svg.setAttribute('class', SOLID.has(name) ? 'icon solid' : 'icon');
  svg.firstElementChild?.setAttribute('d', PATHS[name]);
}
