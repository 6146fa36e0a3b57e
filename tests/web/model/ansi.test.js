import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CarriedStyles, isPlain, parseAnsi, plainName, shownText, stripAnsi } from '../../../web/model/ansi.js';

test('a line without escapes is one span without a style', () => {
  assert.deepEqual(parseAnsi('hello'), [{ text: 'hello', classes: '', color: null, background: null }]);
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

test('any text is shown with what would hide in it, line by line, and a second time alike', () => {
  const text = 'error:\u202e gnorw\n\x1b[31mred\x1b[0m\u200b\tünï 👩\u200d💻\n\x1b]52;c;aGk=\x07';
  assert.equal(shownText(text), 'error:[RLO] gnorw\nred[ZWSP]\tünï 👩\u200d💻\n[OSC]');
  assert.equal(shownText(shownText(text)), shownText(text));
});

test('of a name every letter that is not plain is shown by its number', () => {
  assert.equal(plainName('web-01.example'), 'web-01.example');
  assert.equal(plainName('w\u0435b\u202e01\u05d0\u{1f600}\n'), 'w[U+0435]b[U+202E]01[U+05D0][U+1F600][U+000A]');
});

test('a cut escape at the end of a line does no harm', () => {
  assert.equal(stripAnsi('abc\x1b['), 'abc');
  assert.equal(parseAnsi('\x1b[38;5mx')[0]?.text, 'x');
});

test('colours are read with semicolons and with colons, with a colour space and without', () => {
  const yellow = parseAnsi('\x1b[38;2;250;230;20mx')[0]?.color;
  assert.match(yellow ?? '', /rgb\(250 230 20\)\)$/);
  for (const form of ['38:2::250:230:20', '38:2:250:230:20', '38:2:1:250:230:20', '0;38;2;250;230;20', '38:2::250:230:20;58:2::1:2:3', '38;2;250;230;20;58;5;9']) {
    assert.equal(parseAnsi(`\x1b[${form}mx`)[0]?.color, yellow, form);
  }
  assert.deepEqual(parseAnsi('\x1b[38:5:196;1mx')[0], { ...parseAnsi('\x1b[1;38;5;196mx')[0] });
  assert.equal(parseAnsi('\x1b[38:5:3mx')[0]?.classes, 'fg3');
  assert.equal(parseAnsi('\x1b[4:3mx')[0]?.classes, 'underline');
  assert.equal(parseAnsi('\x1b[4m\x1b[4:0mx')[0]?.classes, '');
});

test('backgrounds are shown, with text that is readable on them', () => {
  assert.equal(parseAnsi('\x1b[41;97mx')[0]?.classes, 'fg15 bg1');
  assert.equal(parseAnsi('\x1b[31;7mx')[0]?.classes, 'bg1');
  const [dark, light] = parseAnsi('\x1b[48;5;17mx\x1b[38;2;255;255;255;48:2::255:255:0mx');
  assert.deepEqual([dark?.background, dark?.color], ['rgb(0 0 95)', 'rgb(255 255 255)']);
  assert.equal(light?.background, 'rgb(255 255 0)');
  assert.notEqual(light?.color, 'rgb(255 255 255)', 'white on yellow');
});

test('characters that turn the direction or cannot be seen are boxes with their names', () => {
  assert.equal(stripAnsi('a\u202eb\u2066c\u2069'), 'a[RLO]b[LRI]c[PDI]');
  assert.equal(stripAnsi('pass\u200bword\ufeff\u00ad\u2060'), 'pass[ZWSP]word[BOM][SHY][WJ]');
  assert.equal(stripAnsi('\u{e0041}\u{e0100}\u3164\u0085\u009b31m'), '[U+E0041][U+E0100][U+3164][U+0085][U+009B]31m');
  assert.deepEqual(parseAnsi('a\u202eb').map(({ text, classes }) => [text, classes]), [['a', ''], ['[RLO]', 'box'], ['b', '']]);
  for (const seen of ['👩‍💻 ⚠️ ❤️‍🔥', 'naïve 日本 ё עברית عربي', 'e\u0301']) assert.equal(stripAnsi(seen), seen);
  assert.equal(stripAnsi('a\u200db'), 'a[ZWJ]b');
});

test('nothing hides: a string without an end is a box and its text stays, and what a terminal swallows is named', () => {
  assert.equal(stripAnsi('\x1b]0;title rm -rf /'), '[OSC]0;title rm -rf /');
  assert.equal(stripAnsi('\x1b]0;title\x07text'), 'text');
  assert.equal(stripAnsi('\x1b]52;c;cGF5bG9hZA==\x07text'), '[OSC]text');
  assert.equal(stripAnsi('\x1bPq payload\x1b\\text'), '[DCS]text');
  assert.equal(stripAnsi('\x1b_payload\x1b\\a\x1b^payload\x07b\x1bXc'), '[APC]a[PM]b[SOS]c');
  assert.equal(stripAnsi('\x1b]0;a\x1b[31mred'), '[OSC]0;ared');
  assert.equal(stripAnsi('\x1b[8mhidden'), 'hidden');
});

test('colours go over lines of one writer, and over no others', () => {
  const carried = new CarriedStyles();
  const lines = ['\x1b[31merror:', 'more', 'toy-1.0> other', 'end\x1b[0m', 'plain', 'toy-1.0> \x1b[32mgreen', 'toy-1.0> still'];
  for (const line of lines) carried.push({ line, timestamp: '', is_error: true });
  carried.push({ line: 'other stream', timestamp: '', is_error: false });
  const shown = lines.map((line, i) => parseAnsi(line, carried.at(i)).map(({ text, classes }) => `${classes}:${text}`));
  assert.deepEqual(shown, [['fg1:error:'], ['fg1:more'], [':toy-1.0> other'], ['fg1:end'], [':plain'], [':toy-1.0> ', 'fg2:green'], [':toy-1.0> ', 'fg2:still']]);
  assert.equal(parseAnsi('x', carried.at(7))[0]?.classes, '');
  assert.equal(parseAnsi('x', carried.at(99))[0]?.classes, '', 'beyond the page');
});
