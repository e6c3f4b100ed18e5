import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatFacts, formatTable, wrapIndented } from '#cli/table.js';
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

  it('are narrowed to fit, the widest column first, and no word is broken as long as that does', () => {
    assert.equal(
      formatTable(columns, rows, new RecordedTerminal(30)),
      [
        'NAME             N  WHAT',
        'a                1  short',
        'a-long-name  1,000  something',
        '                    much',
        '                    longer',
        '',
      ].join('\n'),
    );
  });

  it('break words only where they must, at a seam if there is one, and give a long name a line to itself', () => {
    const all = [
      ['a', '1', { text: 'by operator@127.0.0.1', style: 'red' as const }],
      ['host-1.rack4.example', '2', 'fd01:b:0:1::/80'],
    ];
    assert.equal(
      formatTable(columns, all, new RecordedTerminal(26)),
      [
        // The long name leaves its column to the others, which are short.
        'NAME  N  WHAT',
        'a     1  by',
        '         operator@',
        '         127.0.0.1',
        'host-1.rack4.example',
        '      2  fd01:b:0:1::/80',
        '',
      ].join('\n'),
    );
  });

  it('are never narrowed in a pipe', () => {
    assert.equal(
      formatTable(columns, rows, new RecordedTerminal()),
      formatTable(columns, rows, new RecordedTerminal(200)),
    );
  });

  it('fit the terminal whenever the columns allow it, lose no letter, and end no line in blanks', () => {
    const word = fc.string({ unit: 'grapheme-ascii', maxLength: 30 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word, word, word), { maxLength: 5 }),
        fc.integer({ min: 19, max: 120 }),
        (cells, width) => {
          const all = [
            { title: 'A', least: 5 },
            { title: 'B', least: 5 },
            { title: 'C', least: 5 },
          ];
          const text = formatTable(all, cells, new RecordedTerminal(width));
          for (const line of text.split('\n')) {
            assert.ok(line.length <= width, line);
            assert.equal(line, line.trimEnd());
          }
          const letters = (of: string): string => of.replaceAll(/\s/g, '').split('').sort().join('');
          assert.equal(letters(text), letters(['A', 'B', 'C', ...cells.flat()].join('')));
        },
      ),
    );
  });

  it('may have more lines than a call has arguments', () => {
    const many = Array.from({ length: 200_000 }, (_, at) => [`agent-${at}`, '1', 'ok']);
    const text = formatTable(columns, many, new RecordedTerminal(80));
    assert.equal(text.split('\n').length, many.length + 2);
  });

  it('replace the control characters in another machine’s text', () => {
    const text = formatTable([{ title: 'A' }], [['x\u001b[2Jy\nz']], new RecordedTerminal());
    assert.equal(text, 'A\nx [2Jy z\n');
  });

  it('break a fact between words, below itself, and lose nothing', () => {
    const reachable = 'no: another agent has its node ip, and peers do not route to it, see fd01:b:0:1:8000::/81';
    assert.equal(
      formatFacts(
        [
          ['reachable', { text: reachable, style: 'red' }],
          ['a', '1'],
        ],
        new RecordedTerminal(40),
      ),
      [
        'reachable  no: another agent has its',
        '           node ip, and peers do not',
        '           route to it, see',
        '           fd01:b:0:1:8000::/81',
        'a          1',
        '',
      ].join('\n'),
    );
    assert.equal(formatFacts([['reachable', reachable]], new RecordedTerminal()), `reachable  ${reachable}\n`);
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
    assert.equal(wrapIndented('one two three four', 9, '  '), 'one two\n  three\n  four');
    assert.equal(wrapIndented('one two three four', undefined, '  '), 'one two three four');
  });
});
