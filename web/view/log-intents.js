/** What a person does to a log: the pointer over it, wheel, keys, scrollbar, a selection. */

const LINE_PIXELS = 20;

/** Where the pointer was last, to tell a move from a page that moved under it. */
const pointer = { x: NaN, y: NaN };

addEventListener('pointermove', ({ clientX, clientY }) => Object.assign(pointer, { x: clientX, y: clientY }), { passive: true });

/** @param {import('./log-view.js').LogView} view */
export function watchIntents(view) {
  const { scroller } = view;
  scroller.addEventListener('pointermove', (event) => {
    const moved = event.clientX !== pointer.x || event.clientY !== pointer.y;
    if (moved && event.pointerType !== 'touch') view.pause('hover');
  });
  scroller.addEventListener('pointerleave', () => view.leave());
  scroller.addEventListener('wheel', (event) => wheel(view, event), { passive: false });
  scroller.addEventListener('keydown', (event) => keydown(view, event));
  document.addEventListener('selectionchange', () => {
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && scroller.contains(selection.anchorNode)) view.pause('selection');
  });
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

/** @param {import('./log-view.js').LogView} view @param {KeyboardEvent} event */
function keydown(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
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
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}
