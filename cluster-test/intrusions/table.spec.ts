/** docs/intrusions.md has a line for each row; each row has a test with its number in the title, or says why it has none. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const rows = 85;

/** `row 7: …`, `rows 2 to 6: …`, `rows 8, 9: …`, `rows 3 and 4: …`, as titles have them. */
function numbersIn(title: string): readonly number[] {
  const given = /^rows? ([\d, toand]+):/.exec(title)?.[1] ?? '';
  return given
    .split(/,|and/)
    .filter(Boolean)
    .flatMap((part) => {
      const [first = Number.NaN, last = first] = part.split(' to ').map(Number);
      return Number.isNaN(first) ? [] : Array.from({ length: last - first + 1 }, (_, at) => first + at);
    });
}

function tested(): ReadonlySet<number> {
  const files = ['src', 'cluster-test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.spec.ts'))
      .map((name) => join(folder, name)),
  );
  const title = /\b(?:it|describe|bad)\(\s*['"`](rows? .*)/g;
  return new Set(
    files.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(title)].flatMap(([, text = '']) => numbersIn(text)),
    ),
  );
}

/** By row: what the page says comes of it. */
function stated(): readonly (readonly [row: number, outcome: string])[] {
  const lines = readFileSync('docs/intrusions.md', 'utf8').matchAll(/^\| (\d+) \| .* \| (.*) \|$/gm);
  return [...lines].map(([, row, outcome = '']) => [Number(row), outcome]);
}

describe('the table of intrusions', () => {
  it('has each row once, in order', () => {
    assert.deepEqual(
      stated().map(([row]) => row),
      Array.from({ length: rows }, (_, at) => at + 1),
    );
  });

  it('has a test for each row that does not say why it has none', () => {
    const have = tested();
    const lacking = stated().filter(([row, outcome]) => !have.has(row) && !/^Not tested: ./.test(outcome));
    assert.deepEqual(lacking, []);
  });

  it('reads the numbers of a title', () => {
    assert.deepEqual(numbersIn('row 7: a'), [7]);
    assert.deepEqual(numbersIn('rows 2 to 4: a'), [2, 3, 4]);
    assert.deepEqual(numbersIn('rows 8, 9, 11 to 12: a'), [8, 9, 11, 12]);
    assert.deepEqual(numbersIn('rows 5 and 65: a'), [5, 65]);
    assert.deepEqual(numbersIn('rows of a table: 3'), []);
  });
});
