/** What the tasks of a page cost, as the browser traces them. */

/** @typedef {import('playwright-core').Page} Page */
/** Of a task: time of the processor in ms, which other programs do not lengthen, and how many elements were styled. @typedef {{cpu: number, styled: number}} Task */

const CATEGORIES = ['toplevel', 'devtools.timeline', 'blink.user_timing'];
const MARK = 'traced';

/**
 * The tasks of the page's main thread while `act` goes on, those that cost most first.
 * @param {Page} page @param {() => Promise<unknown>} act @returns {Promise<Task[]>}
 */
export async function traced(page, act) {
  const browser = page.context().browser();
  if (!browser) throw new Error('the page has no browser');
  await browser.startTracing(page, { categories: CATEGORIES });
  await page.evaluate((name) => performance.mark(name), MARK);
  await act();
  // A task is in the trace when it is over, which is sure once the next one runs; its answer may be here before.
  await page.evaluate(() => new Promise((done) => void setTimeout(done)));
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const main = traceEvents.find((/** @type {any} */ event) => event.name === MARK && event.cat.includes('user_timing'));
  const events = traceEvents.filter((/** @type {any} */ { pid, tid, ph }) => pid === main.pid && tid === main.tid && ph === 'X');
  /** @type {any[]} */
  const styles = events.filter((/** @type {any} */ { name }) => name === 'UpdateLayoutTree');
  const tasks = events.filter((/** @type {any} */ { name, ts }) => name === 'ThreadControllerImpl::RunTask' && ts > main.ts);
  return tasks
    .map((/** @type {any} */ { ts, dur, tdur }) => ({
      cpu: (tdur ?? 0) / 1000,
      styled: styles.filter((one) => one.ts >= ts && one.ts < ts + dur).reduce((sum, { args }) => sum + (args.elementCount ?? 0), 0),
    }))
    .sort((/** @type {Task} */ a, /** @type {Task} */ b) => b.cpu - a.cpu);
}
