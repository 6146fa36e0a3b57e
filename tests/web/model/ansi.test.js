import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPlain, parseAnsi, stripAnsi } from '../../../web/model/ansi.js';

test('a line without escapes is one span without a style', () => {
  assert.deepEqual(parseAnsi('hello'), [{ text: 'hello', classes: '', color: null }]);
});

test('the sixteen colours and weights become classes', () => {
  const spans = parseAnsi('\x1b[31;1merror:\x1b[0m no \x1b[92mbright\x1b[39m end');
  assert.deepEqual(spans.map(({ text, classes }) => [text, classes]), [
    ['error:', 'fg1 bold'],
    [' no ', ''],
    ['bright', 'fg10'],
    [' end', ''],
  ]);
});

test('256 and true colours become readable colours', () => {
  const [dark, truly] = parseAnsi('\x1b[38;5;16mblack\x1b[38;2;0;0;0mblack');
  assert.match(dark?.color ?? '', /^light-dark\(rgb\(0 0 0\), rgb\(\d+ \d+ \d+\)\)$/);
  assert.doesNotMatch(truly?.color ?? '', /, rgb\(0 0 0\)\)$/);
  assert.equal(parseAnsi('\x1b[38;5;3mx')[0]?.classes, 'fg3');
});

test('other escapes leave nothing behind', () => {
  assert.equal(stripAnsi('a\x1b[2Kb\x1b]8;;https://x\x1b\\link\x1b]8;;\x07c\x1b(Bd\x1b[?25l'), 'ablinkcd');
});

test('control characters are shown as their pictures and tabs stay', () => {
  assert.equal(stripAnsi('a\0b\x07\tc\x7f'), 'a␀b␇\tc␡');
  assert.equal(isPlain('tab\tand ünï'), true);
  assert.equal(isPlain('nul\0'), false);
});

test('a cut escape at the end of a line does no harm', () => {
  assert.equal(stripAnsi('abc\x1b['), 'abc');
  assert.equal(parseAnsi('\x1b[38;5mx')[0]?.text, 'x');
});
