/** Files that a master does not start with: what it says, with which exit code, and that it leaves nothing behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { holdPart, table } from '#api/testing/reference-page.js';
import { exitCodes } from '#cli/failure.js';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

const dcos = { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 };
const network = (overlay: object) => ({ network: { overlays: [{ ...dcos, ...overlay }] } });
const member = (name: string, port: number) => ({ name, peer: `127.0.0.1:${port}` });

/** What is wrong, the file, and the line, field, value and limit that are named. */
const cases: readonly (readonly [string, object, RegExp])[] = [
  [
    'an unknown key',
    { lisen: '127.0.0.1:1' },
    /^3: lisen: is not a known key; did you mean listen\? \(allowed: name, /,
  ],
  [
    'an unknown key inside',
    { raft: { tick: 1 } },
    /^4: raft\.tick: is not a known key \(allowed: heartbeat_ms, election_ms, retain_entries\)$/,
  ],
  [
    'a bad CIDR',
    network({ subnet: '9.0.0.0' }),
    /overlays\[0\]\.subnet: "9\.0\.0\.0" is not an IPv4 network: .* 0 to 32/,
  ],
  [
    'a CIDR with host bits',
    network({ subnet: '9.0.0.1/8' }),
    /subnet: "9\.0\.0\.1\/8" has host bits: 9\.0\.0\.0\/8 is/,
  ],
  [
    'overlapping overlays',
    { network: { overlays: [dcos, { name: 'two', subnet: '9.1.0.0/16', prefix: 24 }] } },
    /overlays\[1\]\.subnet: 9\.1\.0\.0\/16 of overlay "two" overlaps 9\.0\.0\.0\/8 of overlay "dcos"/,
  ],
  [
    'an overlay over the VTEP subnet',
    network({ subnet: '44.0.0.0/8' }),
    /44\.0\.0\.0\/8 .* overlaps 44\.128\.0\.0\/20/,
  ],
  [
    'a reserved name',
    network({ name: 'host' }),
    /overlays\[0\]\.name: "host" is reserved by a container engine: not host, bridge, default, none, /,
  ],
  ['a name that is too long', network({ name: 'x'.repeat(14) }), /name: "x{14}" has another form: 1 to 13 characters/],
  ['an empty name', network({ name: '' }), /overlays\[0\]\.name: "" has another form: 1 to 13 characters/],
  [
    'a prefix that is too long',
    network({ prefix: 29 }),
    /overlays\[0\]\.prefix: 29 is out of range: a whole number of bits from 1 to 28/,
  ],
  ["a prefix not longer than the subnet's", network({ prefix: 8 }), /overlays\[0\]\.prefix: 8 .* 9 to 28/],
  [
    'an IPv6 prefix that is too long',
    { network: { overlays: [{ name: 'six', subnet6: 'fd05::/64', prefix6: 127 }] } },
    /overlays\[0\]\.prefix6: 127 is out of range: a whole number of bits from 1 to 126/,
  ],
  [
    'a VTEP subnet wider than /8',
    { network: { vtep_subnet: '44.0.0.0/7' } },
    /vtep_subnet: 44\.0\.0\.0\/7 .* from 8 to 28/,
  ],
  [
    'a MAC that is not an OUI',
    { network: { vtep_mac_oui: '70:B3:D5:00:00:01' } },
    /vtep_mac_oui: "70:b3:d5:00:00:01" is not an OUI: its low three bytes must be zero/,
  ],
  ['an OUI that is not a MAC', { network: { vtep_mac_oui: '70:B3:D5' } }, /vtep_mac_oui: "70:B3:D5" is not a MAC/],
  [
    'two masters with the same name',
    { cluster: { members: [member('m', 1), member('m', 2)] } },
    /cluster\.members\[1\]\.name: "m" is the name of cluster\.members\[0\] too: each member needs its own/,
  ],
  ['an over-long cluster id', { cluster: { id: 'c'.repeat(64) } }, /cluster\.id: "c+…" has another form: 1 to 63/],
];

describe('sublet master, with a file that has', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-bad-configuration-'));
  const dataDir = join(folder, 'data');
  after(() => rmSync(folder, { recursive: true }));

  async function refusal(content: object, ...words: readonly string[]) {
    const file = join(folder, 'master.json');
    // The name is on line 2, so that every problem has a line that one can tell from no line.
    writeFileSync(file, JSON.stringify({ name: 'm', ...content }, undefined, 2));
    const terminal = new RecordedTerminal();
    const code = await run([...words, file], terminal);
    assert.equal(terminal.out, '');
    const found = /^ {2}.*?master\.json:(\d+: .*)$/m.exec(terminal.notes);
    return { code, told: found?.[1] ?? assert.fail(terminal.notes) };
  }

  for (const [title, content, says] of cases) {
    it(`${title}, ends with 2, and leaves nothing behind`, async () => {
      const started = await refusal(content, 'master', '--data-dir', dataDir, '--config');
      assert.equal(started.code, exitCodes.usage);
      assert.match(started.told, says);
      assert.ok(!existsSync(dataDir));
      const checked = await refusal(content, 'config', 'check', '--kind', 'master');
      assert.deepEqual(checked, { code: exitCodes.refused, told: started.told });
    });
  }

  it('this is in the documentation, line by line', async () => {
    const rows: string[][] = [];
    for (const [title, content] of cases) {
      const { code, told } = await refusal(content, 'master', '--config');
      rows.push([title, `\`${code}\``, told.replace(/^\d+: /, '')]);
    }
    holdPart('bad-input.md', 'bad configuration', table(['input', 'exit code', 'message'], rows));
  });
});
