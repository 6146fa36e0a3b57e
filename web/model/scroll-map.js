/**
 * Lines to pixels. Browsers clip very tall elements, so the scroller is at most MAX_HEIGHT tall; beyond that
 * its position stands for a fraction of the log. Positions are in lines, with a fraction.
 */

export const ROW_HEIGHT = 20;
export const MAX_HEIGHT = 8_000_000;

/** @param {number} total lines */
export function spaceHeight(total) {
  return Math.min(total * ROW_HEIGHT, MAX_HEIGHT);
}

/** Whether one pixel of the scroller is more than one pixel of the log. @param {number} total */
export function isScaled(total) {
  return total * ROW_HEIGHT > MAX_HEIGHT;
}

/** The highest position: the last line at the bottom edge. @param {number} total @param {number} viewHeight */
export function maxTop(total, viewHeight) {
  return Math.max(0, total - viewHeight / ROW_HEIGHT);
}

/**
 * @param {number} scrollTop @param {number} total @param {number} viewHeight
 * @param {number} [last] the highest position, where rows are not all of one height
 */
export function toTop(scrollTop, total, viewHeight, last = maxTop(total, viewHeight)) {
  const range = spaceHeight(total) - viewHeight;
  if (range <= 0) return 0;
  return Math.min(Math.max(scrollTop / range, 0), 1) * last;
}

/**
 * @param {number} top @param {number} total @param {number} viewHeight
 * @param {number} [last]
 */
export function toScrollTop(top, total, viewHeight, last = maxTop(total, viewHeight)) {
  const range = spaceHeight(total) - viewHeight;
  if (range <= 0 || last <= 0) return 0;
  return Math.min(Math.max(top / last, 0), 1) * range;
}
