import assert from 'node:assert/strict';
import { quote } from '#cluster-test/conformance/describe.js';
import { parseDirective, parseScript, ScriptError } from '#cluster-test/conformance/script.js';
import { kindOf, runFile } from '#cluster-test/conformance/suite.js';

function outcomeOf(...lines: readonly string[]) {
  return runFile('interaction/spec.txt', `${lines.join('\n')}\n`);
}

function assertPasses(...lines: readonly string[]): void {
  const outcome = outcomeOf(...lines);
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.report);
}

describe('the grammar of conformance files', () => {
  it('takes comments and blank lines between directives only', () => {
    const [directive] = parseScript('# one\n\n  command a\n# input\n\nmore\n----\nout\n');
    assert.equal(directive?.line, 3);
    assert.equal(directive?.input, '# input\n\nmore');
    assert.deepEqual(directive?.expected, ['out']);
  });

  it('joins lines that end in a backslash', () => {
    const [directive] = parseScript('command a \\\n  b\\\n  c\n----\n');
    assert.deepEqual(
      directive?.args.map(({ key }) => key),
      ['a', 'b', 'c'],
    );
  });

  it('ends expected text at a blank line, or at the second pair of ---- if it began with one', () => {
    const text = 'a\n----\nx\n\n\nb\n----\n----\ny\n\n----\nz\n----\n----\n\nc\n----\n';
    assert.deepEqual(
      parseScript(text).map(({ command, expected }) => [command, expected]),
      [
        ['a', ['x']],
        ['b', ['y', '', '----', 'z']],
        ['c', []],
      ],
    );
  });

  it('refuses a directive without ----, and text that is not closed', () => {
    assert.throws(() => parseScript('a\n'), ScriptError);
    assert.throws(() => parseScript('a\n----\n----\nx\n'), ScriptError);
    assert.throws(() => parseScript('a\n----\n----\nx\n----\n----\ny\n'), ScriptError);
  });

  it('reads keys, values and lists, in which parentheses nest', () => {
    assert.deepEqual(parseDirective('c 1 index=10 v=(1, 2) e= n=() d=(a(b, c), d) "foo"', 1).args, [
      { key: '1', values: [] },
      { key: 'index', values: ['10'] },
      { key: 'v', values: ['1', '2'] },
      { key: 'e', values: [''] },
      { key: 'n', values: [''] },
      { key: 'd', values: ['a(b, c)', 'd'] },
      { key: '"foo"', values: [] },
    ]);
  });

  it('refuses an argument without a key and a list that is not closed', () => {
    assert.throws(() => parseDirective('c =1', 1), ScriptError);
    assert.throws(() => parseDirective('c a=(1,2', 1), ScriptError);
    assert.throws(() => parseDirective('c a=(1)2', 1), ScriptError);
  });
});

describe('the kind of a conformance file', () => {
  it('shows in its commands, wherever it lies, and else in its folder', () => {
    assert.equal(kindOf('x/y.txt', parseScript('vote\n----\n')), 'quorum');
    assert.equal(kindOf('quorum/y.txt', parseScript('simple\n----\n')), 'confchange');
    assert.equal(kindOf('confchange/y.txt', parseScript('unheard-of\n----\n')), 'confchange');
    assert.equal(kindOf('x/y.txt', parseScript('campaign 1\n----\n')), 'interaction');
  });
});

describe('quoted data', () => {
  it('escapes what can not be printed', () => {
    assert.equal(
      quote(new TextEncoder().encode('a"\\\n\x07\x01\x7fäß☃\u00a0\u{10ffff}')),
      String.raw`"a\"\\\n\a\x01\x7fäß☃\u00a0\U0010ffff"`,
    );
    assert.equal(quote(Uint8Array.of(0x61, 0xff, 0xe2, 0x98)), String.raw`"a\xff\xe2\x98"`);
  });
});

describe('the interaction runner', () => {
  const one = ['log-level none', '----', 'ok', '', 'add-nodes 1 voters=(1) index=2', '----', 'ok', ''];

  it('passes a file whose log lines differ', () => {
    assertPasses(
      'add-nodes 1 voters=(1) index=2',
      '----',
      'INFO whatever was said',
      '  DEBUG and this',
      '',
      'campaign 1',
      '----',
      'ok',
    );
  });

  it('fails a file at the first line that differs, and says where', () => {
    const outcome = outcomeOf('raft-state', '----', 'ok', '', 'raft-state', '----', 'x', '', 'raft-state', '----', 'y');
    assert.ok(!outcome.ok);
    assert.equal(outcome.line, 5);
    assert.match(outcome.report, /- x/);
  });

  it('fails a file that is malformed, has no commands, or names a node that does not exist', () => {
    assert.ok(!outcomeOf('campaign 1', '----', 'ok').ok);
    assert.ok(!outcomeOf('add-nodes x', '----', 'ok').ok);
    assert.ok(!outcomeOf('# nothing').ok);
    assert.ok(!outcomeOf('add-nodes 1 voters=(1) index=2 read-only=lease-based', '----', 'ok').ok);
  });

  it('knows the errors that a file may expect', () => {
    assertPasses('add-nodes 1 voters=(1)', '----', 'index must be specified as > 1 due to bootstrap');
    assertPasses('add-nodes 1 voters=(1) index=2 read-only=what', '----', 'invalid read-only option "what"');
    assertPasses('unheard-of', '----', 'unknown command');
    assertPasses('log-level loud', '----', 'log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]');
    assertPasses(...one, 'propose 1 x', '----', 'raft proposal dropped');
    assertPasses(
      ...one,
      'report-unreachable 1',
      '----',
      'must specify exactly two node indexes: node on which to report, and reported node',
    );
    assertPasses(...one, 'compact 1 2', '----', 'requested index is unavailable due to compaction');
    assertPasses(...one, 'propose-conf-change 1', 'x', '----', 'unknown token x');
    assertPasses(...one, 'propose-conf-change 1', 'x1', '----', 'unknown input: x1');
    assertPasses(...one, 'propose-conf-change 1 transition=late', 'v2', '----', 'unknown transition late');
    assertPasses(...one, 'propose-conf-change 1 speed=high', 'v2', '----', 'unknown command speed');
    assertPasses(
      ...one,
      'propose-conf-change 1 v1=true',
      'v2 v3',
      '----',
      'v1 conf change can only have one operation and no transition',
    );
  });

  it('is silent at level NONE, but for the error that ends a command', () => {
    assertPasses(
      ...one,
      'raft-state',
      '----',
      'ok',
      '',
      'process-append-thread 1',
      '----',
      'ok',
      '',
      'propose 1 x',
      '----',
      'raft proposal dropped',
    );
    assertPasses('stabilize log-level=none', '----', 'ok', '', 'deliver-msgs 1', '----', 'no messages');
  });

  it('prints plainly for one node, indented under headers for several', () => {
    assertPasses(
      'add-nodes 2 voters=(1,2) index=2',
      '----',
      'ok',
      '',
      'process-append-thread 1',
      '----',
      'no append work to perform',
      '',
      'process-apply-thread 1 2',
      '----',
      '> 1 processing apply thread',
      '  no apply work to perform',
      '> 2 processing apply thread',
      '  no apply work to perform',
    );
  });

  it('delivers and drops by type, but never drops local messages', () => {
    assertPasses(
      ...['add-nodes 2 voters=(1,2) index=2 async-storage-writes=true', '----', 'ok', ''],
      ...['campaign 1', '----', 'ok', '', 'log-level none', '----', 'ok', '', 'process-ready 1', '----', 'ok', ''],
      ...['process-append-thread 1', '----', 'ok', '', 'log-level debug', '----', 'ok', ''],
      ...['deliver-msgs drop=(1,2) type=MsgVoteResp', '----', 'no messages', ''],
      ...['deliver-msgs drop=(1,2)', '----', 'dropped: 1->2 MsgVote Term:1 Log:1/2', ''],
      ...['deliver-msgs 1', '----', '1->1 MsgVoteResp Term:1 Log:0/0'],
    );
  });

  it('prints a response of a stranger, and the error that it meets', () => {
    assertPasses(
      ...['add-nodes 2 voters=(1) index=2', '----', 'ok', '', 'log-level none', '----', 'ok', ''],
      ...['campaign 2', '----', 'ok', '', 'send-snapshot 1 2', '----', 'ok', '', 'log-level debug', '----', 'ok', ''],
      ...[
        'deliver-msgs 2',
        '----',
        '1->2 MsgSnap Term:0 Log:0/0',
        '  Snapshot: Index:2 Term:1 ConfState:Voters:[1] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false',
        '',
      ],
      ...['log-level none', '----', 'ok', '', 'process-ready 2', '----', 'ok', '', 'log-level debug', '----', 'ok', ''],
      ...['deliver-msgs 1', '----', '2->1 MsgAppResp Term:0 Log:0/2', 'raft: cannot step as peer not found'],
    );
  });
});

describe('the quorum runner', () => {
  it('draws what each voter has reached', () => {
    const text =
      'committed cfg=(1,2,3,10) idx=(5,_,9,5)\n----\n        idx\nx>        5    (id=1)\n?         0    (id=2)\nxxx>      9    (id=3)\nx>        5    (id=a)\n5\n';
    const outcome = runFile('quorum/x.txt', text);
    assert.ok(outcome.ok, outcome.ok ? '' : outcome.report);
  });

  it('fails on index 0 and on a wrong number of values', () => {
    assert.ok(!runFile('quorum/x.txt', 'committed cfg=(1) idx=(0)\n----\n').ok);
    assert.ok(!runFile('quorum/x.txt', 'vote cfg=(1,2) votes=(y)\n----\nVotePending\n').ok);
  });
});

describe('the confchange runner', () => {
  it('counts every command, failed ones included, as an index', () => {
    const text =
      'simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\nleave-joint\nv1\n----\nthis command takes no input\n\nnonsense\n----\nunknown command\n\nsimple\nl2\n----\nvoters=(1) learners=(2)\n1: StateProbe match=0 next=1\n2: StateProbe match=0 next=3 learner\n';
    const outcome = runFile('confchange/x.txt', text);
    assert.ok(outcome.ok, outcome.ok ? '' : outcome.report);
  });
});
