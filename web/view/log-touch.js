/**
 * A finger on a log whose pixels do not stand for lines: it moves by lines, as far as the finger does, and goes on
 * for a while when it is let go.
 */

const LINE_PIXELS = 20;
/** The part of its speed that a log keeps in each ms after the finger is gone. */
const FRICTION = 0.996;
/** Slower than this, in pixels a ms, it stands. */
const MIN_SPEED = 0.05;
/** Events that come late come together, and are no faster finger, in pixels a ms. */
const MAX_SPEED = 10;
/** A finger that rested for so long lets go without a push, in ms. */
const REST_MS = 60;

/** @param {import('./log-view.js').LogView} view @param {AbortSignal} signal */
export function watchTouch(view, signal) {
  const { scroller } = view;
  /** @type {{y: number, at: number, speed: number} | null} */
  let finger = null;
  let going = 0;
  scroller.addEventListener('touchstart', ({ touches }) => {
    going += 1;
    const [touch] = touches;
    finger = touch && touches.length === 1 && view.movesByLines ? { y: touch.clientY, at: performance.now(), speed: 0 } : null;
  }, { passive: true, signal });
  scroller.addEventListener('touchmove', (event) => {
    const [touch] = event.touches;
    if (!finger || !touch || event.touches.length > 1) return;
    event.preventDefault();
    const now = performance.now();
    const pixels = finger.y - touch.clientY;
    finger = { y: touch.clientY, at: now, speed: Math.max(-MAX_SPEED, Math.min(MAX_SPEED, pixels / Math.max(1, now - finger.at))) };
    move(pixels);
  }, { passive: false, signal });
  scroller.addEventListener('touchend', () => {
    if (finger && performance.now() - finger.at < REST_MS) glide(finger.speed, ++going, performance.now());
    finger = null;
  }, { signal });

  /** @param {number} pixels */
  function move(pixels) {
    if (pixels < 0) view.pause('scrolled');
    view.moveBy(pixels / LINE_PIXELS);
  }

  /** @param {number} speed pixels a ms @param {number} turn @param {number} before */
  function glide(speed, turn, before) {
    requestAnimationFrame((now) => {
      if (turn !== going || signal.aborted || Math.abs(speed) < MIN_SPEED) return;
      const ms = Math.max(0, now - before);
      move(speed * ms);
      glide(speed * FRICTION ** ms, turn, now);
    });
  }
}
