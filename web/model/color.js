/** Colours a program asks for, made readable on our backgrounds. */

/** @typedef {[number, number, number]} Rgb */

/** @type {Rgb} */
export const DARK_LOG = [0x0a, 0x0d, 0x12];
/** @type {Rgb} */
export const LIGHT_LOG = [0xff, 0xff, 0xff];

/** Relative luminance, WCAG 2. @param {Rgb} rgb */
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const c = value / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0);
}

/** @param {Rgb} a @param {Rgb} b */
export function contrast(a, b) {
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return ((hi ?? 0) + 0.05) / ((lo ?? 0) + 0.05);
}

/** The colour nearest to `rgb` with at least 4.5:1 on `background`. @param {Rgb} rgb @param {Rgb} background @returns {Rgb} */
export function clampContrast(rgb, background) {
  // Where black and white are equally far: sqrt(1.05 * 0.05) - 0.05.
  const target = luminance(background) > 0.179 ? 0 : 255;
  for (let step = 0; step <= 20; step++) {
    const mixed = /** @type {Rgb} */ (rgb.map((c) => Math.round(c + ((target - c) * step) / 20)));
    if (contrast(mixed, background) >= 4.5) return mixed;
  }
  return [target, target, target];
}

/** One of the 240 colours behind the first 16. @param {number} n 16 to 255 @returns {Rgb} */
export function paletteColor(n) {
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (/** @type {number} */ i) => (i === 0 ? 0 : 55 + i * 40);
  const i = n - 16;
  return [level(Math.floor(i / 36)), level(Math.floor(i / 6) % 6), level(i % 6)];
}

/** @param {Rgb} rgb */
export function css(rgb) {
  return `rgb(${rgb.join(' ')})`;
}

/** A CSS colour that is readable in both themes. @param {Rgb} rgb */
export function readable(rgb) {
  return `light-dark(${css(clampContrast(rgb, LIGHT_LOG))}, ${css(clampContrast(rgb, DARK_LOG))})`;
}
