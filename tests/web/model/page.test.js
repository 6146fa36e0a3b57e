import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));

/** Types alone: nothing asks for them. */
const TYPES = ['/model/types.js', '/view/context.js'];

/** What few open, and what it needs alone: asked for when somebody does. */
const LATER = ['/view/access-page.js'];

test('every module is asked for at once, and not one after the other as they import each other', () => {
  const html = readFileSync(`${WEB}index.html`, 'utf8');
  const named = [...html.matchAll(/<link rel="modulepreload" href="([^"]+)">/g)].map((match) => match[1]);
  const first = imported(['/main.js']);
  first.delete('/main.js');
  assert.deepEqual(named.sort(), [...first].sort());
  const all = new Set([...first, ...imported(LATER), ...TYPES]);
  assert.deepEqual(modules('').filter((path) => !all.has(path)), [], 'nothing is left over');
  assert.deepEqual(LATER.filter((path) => first.has(path)), []);
});

/** Modules, and what they import, however far. @param {string[]} paths */
function imported(paths) {
  const found = new Set(paths);
  for (const path of found) {
    const source = readFileSync(WEB + path, 'utf8');
    for (const [, name] of source.matchAll(/^import .*from '([^']+)';|^import '([^']+)';/gm)) found.add(new URL(name ?? '', `file://${path}`).pathname);
  }
  return found;
}

/** @param {string} folder @returns {string[]} */
function modules(folder) {
  return readdirSync(WEB + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return modules(path);
    return folder !== '' && path.endsWith('.js') ? [path] : [];
  });
}

test('every text goes into the page where what hides in it is shown, whoever wrote it', () => {
  // The rows of a log show their lines in spans of their own, made by the same rules.
  const own = ['/view/dom.js', '/view/log-row.js'];
  for (const path of modules('').filter((path) => path.startsWith('/view/') && !own.includes(path))) {
    const source = readFileSync(WEB + path, 'utf8');
    const passing = [
      /\.(?:textContent|innerText|title|alt|placeholder|ariaLabel|ariaDescription) = (?!shownText\(|'[^']*';).*/,
      /\.setAttribute\('(?:title|alt|placeholder|aria-label|aria-description|aria-valuetext|data-label)'(?!, '[^']*'\)).*/,
      /\.(?:append|prepend|before|after|replaceWith|replaceChildren|createTextNode)\([`'].*/,
      /new (?:Option|Text|Notification)\((?!shownText\().*/,
    ];
    for (const pattern of passing) assert.equal(source.match(pattern)?.[0], undefined, path);
  }
});

test('the page holds no script, style or handler of its own, which its policy forbids', () => {
  const html = readFileSync(`${WEB}index.html`, 'utf8');
  assert.doesNotMatch(html, /<script(?![^>]* src=)|<style| style=| on\w+=/);
  for (const path of modules('')) {
    const source = readFileSync(WEB + path, 'utf8');
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, path);
  }
});
