import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatFacts, formatTable, wrap } from '#cli/table.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

const columns = [
  { title: 'NAME', least: 4 },
  { title: 'N', align: 'right' as const },
  { title: 'WHAT', least: 6 },
];
const rows = [
  ['a', '1', 'short'],
  ['a-long-name', '1,000', 'something much longer'],
];

describe('tables', () => {
  it('are as wide as what is in them', () => {
    assert.equal(
      formatTable(columns, rows, new RecordedTerminal(80)),
      ['NAME             N  WHAT', 'a                1  short', 'a-long-name  1,000  something much longer', ''].join(
        '\n',
      ),
    );
  });

  it('are cut to fit, the widest column first', () => {
    assert.equal(
      formatTable(columns, rows, new RecordedTerminal(30)),
      ['NAME            N  WHAT', 'a               1  short', 'a-long-na…  1,000  something …', ''].join('\n'),
    );
  });

  it('go on in the next line where a column wraps, and cut only a word that is too long', () => {
    const [name, n, what] = columns;
    assert.ok(name && n && what);
    const wrapping = [name, n, { ...what, wraps: true as const }];
    const all = [...rows, ['b', '2', { text: 'x incomprehensible', style: 'red' as const }]];
    assert.equal(
      formatTable(wrapping, all, new RecordedTerminal(30)),
      [
        'NAME            N  WHAT',
        'a               1  short',
        'a-long-na…  1,000  something',
        '                   much longer',
        'b               2  x',
        '                   incomprehe…',
        '',
      ].join('\n'),
    );
    assert.equal(
      formatTable(wrapping, rows, new RecordedTerminal()),
      formatTable(columns, rows, new RecordedTerminal()),
    );
  });

  it('are never cut in a pipe', () => {
    assert.equal(
      formatTable(columns, rows, new RecordedTerminal()),
      formatTable(columns, rows, new RecordedTerminal(200)),
    );
  });

  it('fit the terminal whenever the columns allow it, and end no line in blanks', () => {
    const word = fc.string({ unit: 'grapheme-ascii', maxLength: 30 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word, word, word), { maxLength: 5 }),
        fc.integer({ min: 40, max: 120 }),
        (cells, width) => {
          const all = [
            { title: 'A', least: 5 },
            { title: 'B', least: 5 },
            { title: 'C', least: 5 },
          ];
          const lines = formatTable(all, cells, new RecordedTerminal(width)).split('\n');
          assert.equal(lines.length, cells.length + 2);
          for (const line of lines) assert.ok(line.length <= width, line);
        },
      ),
    );
  });

  it('let no other machine’s text move the cursor', () => {
    const text = formatTable([{ title: 'A' }], [['x\u001b[2Jy\nz']], new RecordedTerminal());
    assert.equal(text, 'A\nx [2Jy z\n');
  });

  it('show facts one a line', () => {
    assert.equal(
      formatFacts(
        [
          ['a', '1'],
          ['long', '2'],
        ],
        new RecordedTerminal(),
      ),
      'a     1\nlong  2\n',
    );
  });

  it('wrap text at blanks', () => {
    assert.equal(wrap('one two three four', 9, '  '), 'one two\n  three\n  four');
    assert.equal(wrap('one two three four', undefined, '  '), 'one two three four');
  });
});
