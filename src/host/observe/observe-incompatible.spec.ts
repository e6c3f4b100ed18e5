import assert from 'node:assert/strict';
import { incompatibleTables, readIncompatible } from '#host/observe/observe-incompatible.js';
import type { ObservedTables } from '#host/observe/observed.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';

const printable: ObservedTables = { postrouting: [], forward: [], prerouting: [], randomFully: true };
const jump = '-m comment --comment sublet:c1 -j SUBLET-FORWARD';

/** As nft 1.0.6 prints a table that iptables-nft made and an admin added to: the comment is an opaque match. */
const filter = {
  nftables: [
    { metainfo: { version: '1.0.6', json_schema_version: 1 } },
    { chain: { family: 'ip', table: 'filter', name: 'FORWARD', handle: 1, hook: 'forward', type: 'filter', prio: 0 } },
    { chain: { family: 'ip', table: 'filter', name: 'SUBLET-FORWARD', handle: 4 } },
    rule(
      'FORWARD',
      7,
      { xt: { type: 'match', name: 'comment' } },
      { counter: {} },
      { jump: { target: 'SUBLET-FORWARD' } },
    ),
    rule('FORWARD', 3, { vmap: { key: { ct: { key: 'state' } }, data: { set: [['established', { accept: null }]] } } }),
    rule('SUBLET-FORWARD', 5, device('iifname', 'm-dcos'), { counter: {} }, { accept: null }),
    rule('SUBLET-FORWARD', 6, device('oifname', 'm-dcos'), { counter: {} }, { accept: null }),
  ],
};

function rule(chain: string, handle: number, ...expr: object[]) {
  return { rule: { family: 'ip', table: 'filter', chain, handle, expr } };
}

function device(key: string, right: string) {
  return { match: { op: '==', left: { meta: { key } }, right } };
}

/** Answers `nft` with `listed`, and `-C` with whether the rule is one of `there`. */
function runner(listed: object | undefined, there: readonly string[]): Runner {
  return {
    run: async (command, args) => {
      if (command === 'nft' && listed === undefined) throw new ToolMissingError('nft');
      if (command === 'nft') return { code: 0, stdout: JSON.stringify(listed), stderr: '' };
      const text = args.slice(args.indexOf('-C') + 2).join(' ');
      return { code: there.includes(text) ? 0 : 1, stdout: '', stderr: '' };
    },
  };
}

function read(run: Runner, tables: readonly string[], marks = ['sublet:c1']) {
  return readIncompatible({ run, command: 'iptables-nft', family: 4, tables, marks }, printable);
}

describe('a table that iptables can not print', () => {
  it('is named in what iptables-save prints instead, in the words of any version', () => {
    assert.deepEqual(incompatibleTables("# Table `filter' is incompatible, use 'nft' tool.\n*nat\nCOMMIT\n"), [
      'filter',
    ]);
    assert.deepEqual(incompatibleTables("iptables v1.8.10 (nf_tables): table `nat' is incompatible, use 'nft' tool."), [
      'nat',
    ]);
    assert.deepEqual(incompatibleTables('*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n'), []);
  });

  it('is read by nft: our jump by its target and its exact text, our chain by its devices', async () => {
    assert.deepEqual(await read(runner(filter, [jump]), ['filter']), {
      kind: 'read',
      value: {
        ...printable,
        incompatible: ['filter'],
        forward: [jump, 'nft rule 3'],
        ours: ['-i m-dcos -j ACCEPT', '-o m-dcos -j ACCEPT'],
      },
    });
  });

  it('holds nothing of ours where the jump has the mark of another cluster', async () => {
    const tables = await read(runner(filter, ['-m comment --comment sublet:other -j SUBLET-FORWARD']), ['filter']);
    assert.deepEqual(tables.kind === 'read' && tables.value.forward, ['nft rule 7', 'nft rule 3']);
  });

  it('gives the masquerade of each source that iptables confirms', async () => {
    const text =
      '-s 9.0.0.0/24 -m set --match-set overlay dst -m comment --comment sublet:c1 -j MASQUERADE --random-fully';
    const source = (addr: string) => ({
      match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: { prefix: { addr, len: 24 } } },
    });
    const nat = {
      nftables: [
        rule('POSTROUTING', 2, source('9.0.0.0'), { xt: null }, { masquerade: null }),
        rule('POSTROUTING', 3, source('192.168.0.0'), { masquerade: null }),
      ],
    };
    const tables = await read(runner(nat, [text]), ['nat']);
    assert.deepEqual(tables.kind === 'read' && tables.value.postrouting, [text, 'nft rule 3']);
  });

  it('is unreadable, with the reason, where nft does not know the table either', async () => {
    const tables = await read(runner(undefined, []), ['filter']);
    assert.equal(tables.kind, 'unreadable');
    assert.match(tables.kind === 'unreadable' ? tables.error : '', /table filter holds rules .*"nft" is not installed/);
  });

  it('does not matter when it is one that Sublet has nothing in', async () => {
    const tables = await read(runner(undefined, []), ['mangle']);
    assert.deepEqual(tables, { kind: 'read', value: { ...printable, incompatible: ['mangle'] } });
  });
});
