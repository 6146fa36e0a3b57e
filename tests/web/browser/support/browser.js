/** The real browser, and what a test looks at in it. */

import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** @typedef {import('playwright-core').Page} Page */

const SHOTS = fileURLToPath(new URL('../../../../target/screenshots/', import.meta.url));

const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export async function launch() {
  mkdirSync(SHOTS, { recursive: true });
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  return {
    /**
     * A page of its own, with the errors that it reports.
     * @param {import('playwright-core').BrowserContextOptions} [options]
     */
    async page(options) {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', ...options });
      const page = await context.newPage();
      page.setDefaultTimeout(15_000);
      /** @type {string[]} */
      const errors = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error' && !/ERR_CONNECTION_REFUSED|WebSocket connection|status of 40[19]/.test(message.text())) errors.push(message.text());
      });
      return { page, errors };
    },
    close: () => browser.close(),
  };
}

export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

/** @param {Page} page @param {string} name */
export async function shot(page, name) {
  await page.evaluate(async () => {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const transitions = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(transitions.map((transition) => transition.finished));
  });
  await page.screenshot({ path: `${SHOTS}${name}.png` });
}

/** The row of a host. @param {Page} page @param {string} host */
export function row(page, host) {
  return page.locator(`sy-host-row[data-host="${host}"]`);
}

/** Waits until the text is on a line of the log. @param {import('playwright-core').Locator} where @param {string} text */
export async function seesLine(where, text) {
  await where.locator('.log-row', { hasText: text }).first().waitFor();
}

/** Reads the whole log by scrolling through it. @param {Page} page @returns {Promise<string[]>} */
export async function readLog(page) {
  return page.evaluate(async () => {
    const scroller = /** @type {HTMLElement} */ (document.querySelector('.log-scroll'));
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    /** @type {string[]} */
    const lines = [];
    const ROW = 20;
    /** Whether every line that belongs in view is there. */
    const isShown = () => {
      const rows = [...scroller.querySelectorAll('.log-row')].map((row) => Number(/** @type {HTMLElement} */ (row).dataset['seq']));
      const first = Math.floor(scroller.scrollTop / ROW);
      const end = Math.floor((scroller.scrollTop + scroller.clientHeight) / ROW);
      for (let seq = first; seq < end && seq < Math.floor(scroller.scrollHeight / ROW); seq++) if (!rows.includes(seq)) return false;
      return true;
    };
    /** @type {(top: number) => Promise<void>} */
    const collect = async (top) => {
      scroller.scrollTop = top;
      for (let i = 0; i < 500; i++) {
        await frame();
        // A page that is being loaded may still move the log: where it is counts, not where it was sent.
        if (Math.abs(scroller.scrollTop - Math.min(top, scroller.scrollHeight - scroller.clientHeight)) > 1) {
          scroller.scrollTop = top;
        } else if (isShown() && !scroller.querySelector('.log-row.hole')) break;
      }
      for (const row of scroller.querySelectorAll('.log-row')) {
        const seq = Number(/** @type {HTMLElement} */ (row).dataset['seq']);
        const text = row.textContent ?? '';
        if (lines[seq] !== undefined && lines[seq] !== text) throw new Error(`line ${seq} is "${lines[seq]}" and "${text}"`);
        lines[seq] = text;
      }
    };
    // Half a view at a time, so that a view that changes its height leaves nothing out.
    for (let top = 0; top < scroller.scrollHeight; top += Math.max(ROW, Math.floor(scroller.clientHeight / 2))) await collect(top);
    return lines;
  });
}
