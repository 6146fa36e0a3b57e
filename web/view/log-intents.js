/** What a person does to a log: the pointer over it, wheel, keys, scrollbar, clicks. */

import { derivationOf } from '../model/derivation.js';
import { exactUtc } from '../model/format.js';
import { keyOf } from '../model/keys.js';
import { caretAt, setHint } from './dom.js';
import { watchTouch } from './log-touch.js';

const LINE_PIXELS = 20;

/** Where the pointer was last, to tell a move from a page that moved under it. */
const pointer = { x: NaN, y: NaN };

addEventListener('pointermove', ({ clientX, clientY }) => Object.assign(pointer, { x: clientX, y: clientY }), { passive: true });

/** @param {import('./log-view.js').LogView} view @param {AbortSignal} signal */
export function watchIntents(view, signal) {
  const { scroller } = view;
  scroller.addEventListener('pointermove', (event) => {
    const moved = event.clientX !== pointer.x || event.clientY !== pointer.y;
    if (moved && event.pointerType !== 'touch') view.pause('hover');
    if (moved) sayTime(view, event);
  }, { signal });
  scroller.addEventListener('pointerleave', () => view.leave(), { signal });
  scroller.addEventListener('wheel', (event) => wheel(view, event), { passive: false, signal });
  scroller.addEventListener('click', (event) => click(view, event), { signal });
  watchTouch(view, signal);
}

/** The exact time of a line, over its number and time. @param {import('./log-view.js').LogView} view @param {PointerEvent} event */
function sayTime(view, event) {
  const row = event.target instanceof Element ? event.target.closest('.log-row') : null;
  if (!(row instanceof HTMLElement)) return;
  const line = view.isGutter(event) ? view.source?.model.get(view.pool.indexOf(row)) : undefined;
  setHint(row, line ? exactUtc(line.timestamp) : '');
}

/** A line number leads to its line, and the name before a line of a derivation to all of its lines. @param {import('./log-view.js').LogView} view @param {MouseEvent} event */
function click(view, event) {
  const row = event.target instanceof Element ? event.target.closest('.log-row') : null;
  if (!(row instanceof HTMLElement) || row.classList.contains('hole')) return;
  if (event.target instanceof Element && event.target.closest('.more')) return view.expand(Number(row.dataset.seq));
  const fold = event.target instanceof Element ? event.target.closest('.fold') : null;
  if (fold instanceof HTMLElement) return view.onFold(fold.dataset.fold ?? '');
  if (view.isGutter(event)) return view.onNumber(Number(row.dataset.seq), event.shiftKey);
  const name = derivationOf(row.textContent ?? '');
  const at = caretAt(event.clientX, event.clientY);
  const text = [...row.childNodes].find((node) => node.nodeName !== 'BUTTON');
  const onName = name && at && text?.contains(at.node) && at.offset < name.length;
  if (onName && document.getSelection()?.isCollapsed) view.onDerivation(name);
}

/** @param {import('./log-view.js').LogView} view @param {WheelEvent} event */
function wheel(view, event) {
  if (event.ctrlKey || event.deltaY === 0) return;
  if (event.deltaY < 0) view.pause('scrolled');
  if (!view.movesByLines) return;
  event.preventDefault();
  const lines = [event.deltaY / LINE_PIXELS, event.deltaY, event.deltaY * view.pageLines];
  view.moveBy(lines[event.deltaMode] ?? 0);
}

/** The keys that move a log. @param {import('./log-view.js').LogView} view @param {KeyboardEvent} event */
export function moveKey(view, event) {
  // On a button Space presses it.
  if (event.key === ' ' && event.target !== view.scroller && event.target !== document.body) return;
  /** @type {Record<string, () => void>} */
  const keys = {
    End: () => view.resume(),
    ' ': () => view.resume(),
    G: () => view.resume(),
    Home: () => view.moveBy(-view.total),
    g: () => view.moveBy(-view.total),
    PageUp: () => view.moveBy(-view.pageLines),
    PageDown: () => view.moveBy(view.pageLines),
    ArrowUp: () => view.moveBy(-1),
    ArrowDown: () => view.moveBy(1),
  };
  const act = keys[keyOf(event)];
  if (!act) return;
  event.preventDefault();
  act();
}
