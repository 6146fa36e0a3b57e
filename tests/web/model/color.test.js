import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { clampContrast, contrast, DARK_LOG, LIGHT_LOG, paletteColor } from '../../../web/model/color.js';

/** @typedef {import('../../../web/model/color.js').Rgb} Rgb */

const css = readFileSync(new URL('../../../web/css/tokens.css', import.meta.url), 'utf8');

/** @param {string} hex @returns {Rgb} */
function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).reduce((all, n) => [...all, n], /** @type {any} */ ([]));
}

/** @param {string} name @returns {[Rgb, Rgb]} light, dark */
function token(name) {
  const found = css.match(new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`));
  assert.ok(found?.[1] && found[2], `--${name} is a pair of colours`);
  return [rgb(found[1]), rgb(found[2])];
}

const STATES = ['idle', 'queued', 'running', 'lost', 'ok', 'failed', 'stopped'];
const ANSI = Array.from({ length: 16 }, (_, i) => `ansi-${i}`);

test('every text is readable on every ground it stands on', () => {
  const onAll = ['text', 'quiet', 'link', ...STATES];
  for (const [grounds, names] of /** @type {const} */ ([
    [['ground', 'panel', 'raised', 'log', 'hover'], onAll],
    [['log'], ['number', ...ANSI]],
    [['marked', 'current'], ['text', 'quiet', 'failed', 'lost', ...ANSI]],
    [['found'], ['on-found']],
  ])) {
    for (const ground of grounds) {
      for (const name of names) {
        for (const theme of [0, 1]) {
          const ratio = contrast(token(name)[theme] ?? [0, 0, 0], token(ground)[theme] ?? [0, 0, 0]);
          assert.ok(ratio >= 4.5, `--${name} on --${ground}, ${theme ? 'dark' : 'light'}: ${ratio.toFixed(2)}`);
        }
      }
    }
  }
});

test('white is readable on the buttons that are filled', () => {
  for (const name of ['primary', 'primary-hover', 'danger']) {
    for (const ground of token(name)) assert.ok(contrast([255, 255, 255], ground) >= 4.5, name);
  }
});

test('every colour of the palette is made readable on both logs', () => {
  for (let n = 16; n < 256; n++) {
    for (const ground of [DARK_LOG, LIGHT_LOG]) assert.ok(contrast(clampContrast(paletteColor(n), ground), ground) >= 4.5, `${n}`);
  }
});
