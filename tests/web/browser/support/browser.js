/** The real browser, and what a test looks at in it. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** @typedef {import('playwright-core').Page} Page */

const SHOTS = fileURLToPath(new URL('../../../../target/screenshots/', import.meta.url));

/** With `SWITCHYARD_WEB=web` the page comes from that folder, so that a change needs no build to be tried. */
const WEB = process.env['SWITCHYARD_WEB'];

/** What a test brings counts as from another network, from where nobody may come to this machine. */
const FROM_FOLDER = '--disable-features=LocalNetworkAccessChecks';

const FLAGS = [
  '--headless=new', '--no-proxy-server', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** @param {string[]} flags more of them */
export async function launch(...flags) {
  mkdirSync(SHOTS, { recursive: true });
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...FLAGS, ...(WEB ? [FROM_FOLDER] : []), ...flags] });
  return {
    /**
     * A page of its own, with the errors that it reports.
     * @param {import('playwright-core').BrowserContextOptions} [options]
     */
    async page(options) {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', ...options });
      if (WEB) await context.route(/^[^?#]*(\/|\.(js|css|svg)|\/hosts\/[^?#]*|\/access(\?[^#]*)?)$/, (route) => fromFolder(route, WEB));
      const page = await context.newPage();
      page.setDefaultTimeout(15_000);
      /** @type {string[]} */
      const errors = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error' && !/ERR_CONNECTION_REFUSED|WebSocket connection|status of (40[0139]|410|503)/.test(message.text())) errors.push(`${message.text()} ${message.location().url}`);
      });
      return { page, errors };
    },
    close: () => browser.close(),
  };
}

/** @param {import('playwright-core').Route} route @param {string} folder */
async function fromFolder(route, folder) {
  const { pathname } = new URL(route.request().url());
  const isFile = /\.(js|css|svg)$/.test(pathname);
  if (!isFile && route.request().resourceType() !== 'document') return route.fallback();
  const answer = await route.fetch().catch(() => null);
  if (!answer) return route.abort('connectionrefused');
  await route.fulfill({ path: join(folder, isFile ? pathname : 'index.html'), headers: { 'content-security-policy': answer.headers()['content-security-policy'] ?? '' } });
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

/**
 * Reads the log, or the lines from one to another, by scrolling through it.
 * @param {Page} page @param {number} [from] @param {number} [to] exclusive @returns {Promise<string[]>}
 */
export async function readLog(page, from = 0, to = Infinity) {
  return page.evaluate(async ([from, to]) => {
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
    const end = Math.min(scroller.scrollHeight, to * ROW);
    for (let top = from * ROW; top < end; top += Math.max(ROW, Math.floor(scroller.clientHeight / 2))) await collect(top);
    return lines.slice(from, Math.min(lines.length, to));
  }, /** @type {const} */ ([from, to === Infinity ? 1e12 : to]));
}

/** Chooses a command in the menu of a host, of its row or its page. @param {import('playwright-core').Locator} where @param {string} name */
export async function command(where, name) {
  await where.locator('sy-actions sy-menu > button').click();
  await where.locator(`[role="menuitem"][data-command="${name}"]`).click();
}

/** Chooses a command for the hosts that are selected, and confirms it where the page asks. @param {Page} page @param {string} name @param {string} [confirmed] the text of the button */
export async function bulkCommand(page, name, confirmed) {
  await page.locator('sy-bulk sy-menu > button').click();
  await page.locator(`sy-bulk [role="menuitem"][data-command="${name}"]`).click();
  if (confirmed) await page.locator('dialog.sheet').getByRole('button', { name: confirmed, exact: true }).click();
}
