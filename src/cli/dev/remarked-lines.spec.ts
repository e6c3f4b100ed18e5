import assert from 'node:assert/strict';
import { type RemarkedLine, remarkedLines } from '#cli/dev/remarked-lines.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

describe('command lines with remarks', () => {
  const lines: readonly RemarkedLine[] = [
    ['export SUBLET_TLS=/a/folder', 'your certificate'],
    ['sublet status', 'how the cluster is'],
    ['sublet watch', 'every change'],
  ];
  const shown = (columns?: number): string => remarkedLines(lines, new RecordedTerminal(columns));

  it('have them in one column', () => {
    const wide = [
      '  export SUBLET_TLS=/a/folder  # your certificate\n',
      '  sublet status                # how the cluster is\n',
      '  sublet watch                 # every change\n',
    ].join('');
    assert.equal(shown(), wide);
    assert.equal(shown(51), wide);
  });

  it('have one above a line that leaves no room for it', () => {
    assert.equal(
      shown(40),
      [
        '  # your certificate\n',
        '  export SUBLET_TLS=/a/folder\n',
        '  sublet status  # how the cluster is\n',
        '  sublet watch   # every change\n',
      ].join(''),
    );
  });

  it('have them behind each line where a column would be too wide', () => {
    assert.match(shown(50), /^ {2}export SUBLET_TLS=\/a\/folder {2}# your certificate\n {2}sublet status {2}# how/);
  });
});
