/** No text of another machine reaches a terminal but as printable characters, and JSON keeps it whole. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { status as code, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { definition } from '#api/method.js';
import { accessService, agentService, clusterService, operatorService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster, CannedRefusal } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { agent1, agent2, history, sampleOverlays, status } from '#cli/testing/samples.js';
import { fuzzRuns, fuzzTimeoutMs } from '#cluster-test/fuzz/amount.js';
import { sublet } from '#proto/sublet.js';
import { writeSnapshotFile } from '#storage/snapshots/snapshot-file.js';
import { meta } from '#storage/testing/sample.js';

const escapes = '\u001b]0;owned\u0007\u001b[31mRED\u009b1m\u202ebidi\u2066\u007f\u2028\ufeff\r\b';
const unprintable = /[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/u;
const colours = [1, 2, 22, 31, 32, 33, 36, 39].map((number) => `\u001b[${number}m`);
/** Pieces that sequences are made of. */
const hostile = fc
  .array(
    fc.constantFrom('\u001b[', '\u001b]0;', '\u009b', '31m', '\u0007', '\u202e', '\u2028', '\r', '\u007f', 'a', ';'),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  .map((pieces) => pieces.join(''));

/** The same value with `text` at the end of every text in it. */
function poisoned<Value>(value: Value, text: string): Value;
function poisoned(value: unknown, text: string): unknown {
  if (typeof value === 'string') return value + text;
  if (Array.isArray(value)) return value.map((each) => poisoned(each, text));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, poisoned(each, text)]));
}

const planFile = join(mkdtempSync(join(tmpdir(), 'sublet-plan-')), 'plan.yaml');
writeFileSync(
  planFile,
  'network: {vtep_subnet: 44.128.0.0/20, overlays: []}\nlease: {quarantine: 1h}\nreservations: []\n',
);
after(() => rmSync(dirname(planFile), { recursive: true }));

const commands: readonly (readonly string[])[] = [
  ['status'],
  ['agents'],
  ['agents', 'agent-1'],
  ['overlays'],
  ['lookup', '9.0.0.7'],
  ['history'],
  ['reservations'],
  ['network'],
  ['network', 'grow', '--vtep-subnet', '44.0.0.0/8', '--dry-run'],
  ['network', 'set', '--vtep-mtu', '1400'],
  ['members'],
  ['members', 'add', 'm4=10.0.0.4:7071'],
  ['members', 'promote', 'm4'],
  ['members', 'replace', 'm3', 'm4'],
  ['members', 'remove', 'm3'],
  ['members', 'remove', 'm3', '--dry-run'],
  ['adoption'],
  ['adoption', 'end', '--dry-run'],
  ['transfer'],
  ['certs', 'list'],
  ['certs', 'revoke', 'agent/a'],
  ['certs', 'unrevoke', 'agent/a'],
  ['whoami'],
  ['overlay', 'add', 'x', '--subnet', '9.0.0.0/8', '--prefix', '24'],
  ['overlay', 'disable', 'dcos'],
  ['overlay', 'remove', 'dcos'],
  ['release', 'agent-1'],
  ['release', 'agent-1', '--force', '--dry-run'],
  ['reserve', 'dcos', '9.0.0.0/24', '--for', 'db-1'],
  ['exclude', 'dcos', '9.0.0.0/16'],
  ['unreserve', 'dcos', '9.0.0.0/24'],
  ['export'],
  ['plan'],
  ['plan', '--arrivals', '1/day', '--prefix', 'dcos=25'],
  ['top', '--once'],
  ['diff', '-f', planFile],
  ['apply', '-f', planFile, '--dry-run'],
];

describe('row 59: text of other machines', () => {
  let text = escapes;
  let refuses = false;
  let master: CannedMaster;

  before(async () => {
    const bad = <Value>(value: Value) => {
      if (refuses) throw new CannedRefusal(code.FAILED_PRECONDITION, `no${text} end`);
      return poisoned(value, text);
    };
    const member = {
      name: 'm4',
      peer: '10.0.0.4:7071',
      role: sublet.v1.MemberRole.MEMBER_ROLE_FOLLOWER,
      stopRisk: 'x',
      revocation: { by: 'b' },
    };
    const network = {
      vtepSubnet: '44.128.0.0/20',
      vtepName: 'vtep1024',
      overlays: [{ name: 'dcos', subnet: '9.0.0.0/8' }],
    };
    const plainStatus = { ...status, adoption: true, awaited: 1, awaitedAgents: ['agent-3'] };
    master = await new CannedMaster()
      .on(clusterService.getStatus, () => bad(plainStatus))
      .on(clusterService.listMembers, () =>
        bad({ members: [{ ...member, name: 'm3' }, member], leader: 'm1', accountOf: 'm1' }),
      )
      .on(clusterService.addMember, () => bad({ member }))
      .on(clusterService.promoteMember, () => bad({ member }))
      .on(clusterService.replaceMember, () => bad({ members: [member] }))
      .on(clusterService.removeMember, () => bad({ members: [member] }))
      .on(accessService.listRevocations, () =>
        bad({ revocations: [{ identity: { role: 'agent', id: 'a' }, by: 'b' }] }),
      )
      .on(accessService.revokeIdentity, () => bad({ released: ['9.0.1.0/24'] }))
      .on(accessService.unrevokeIdentity, () => bad({}))
      .on(accessService.whoAmI, () =>
        bad({
          identity: { role: 'admin', id: 'a' },
          address: '10.0.0.1:1',
          serial: '0A',
          methods: ['/x'],
          master: 'm1',
        }),
      )
      .on(clusterService.transferLeadership, () => bad({ leader: 'm2' }))
      .on(operatorService.listAgents, () => ({ ...bad({ agents: [agent1, agent2] }), nextPageToken: '' }))
      .on(operatorService.getAgent, () => bad({ agent: { ...agent1, revocation: { by: 'b' } } }))
      .on(operatorService.listOverlays, () => bad({ overlays: sampleOverlays.overlays }))
      .on(operatorService.listHistory, () => bad({ entries: history.entries }))
      .on(operatorService.lookup, ({ ip }) =>
        bad({ ip, overlay: 'dcos', subnet: '9.0.0.0/24', agentId: 'a', bridge: 'm' }),
      )
      .on(operatorService.listReservations, () =>
        bad({ reservations: [{ overlay: 'dcos', subnet: '9.0.50.0/24', agentId: 'a' }] }),
      )
      .on(operatorService.getNetwork, () => bad({ network, clusterId: 'sublet' }))
      .on(operatorService.updateNetwork, () => bad({ network }))
      .on(operatorService.addOverlay, () => bad({ overlay: { name: 'x', subnet: '9.0.0.0/8' } }))
      .on(operatorService.updateOverlay, () => bad({ overlay: { name: 'x', subnet: '9.0.0.0/8' } }))
      .on(operatorService.removeOverlay, () => bad({}))
      .on(operatorService.releaseAgents, () => bad({ released: ['9.0.1.0/24'] }))
      .on(operatorService.reserve, () => bad({}))
      .on(operatorService.unreserve, () => bad({}))
      .listen();
  });
  after(() => master[Symbol.asyncDispose]());

  async function shown(columns: number | undefined, args: readonly string[]): Promise<string> {
    const terminal = new RecordedTerminal(columns);
    await run([...args, '--master', master.address], terminal);
    return terminal.raw;
  }

  async function printableFrom(args: readonly string[]): Promise<void> {
    assert.doesNotMatch(await shown(80, args), unprintable, args.join(' '));
    const json = new RecordedTerminal();
    await run([...args, '-o', 'json', '--master', master.address], json);
    assert.doesNotMatch(json.unpainted + json.notes, unprintable, args.join(' '));
    if (json.unpainted !== '') JSON.parse(json.unpainted);
    for (const form of ['wide', 'yaml', 'name', 'jsonpath={..*}']) {
      const other = new RecordedTerminal();
      await run([...args, '-o', form, '--master', master.address], other);
      // YAML escapes it, as JSON does; what else there is comes out without.
      const text = form === 'yaml' ? other.unpainted + other.notes : other.raw;
      assert.doesNotMatch(text, unprintable, `${args.join(' ')} -o ${form}`);
    }
  }

  for (const args of commands) {
    it(`comes out printable, and whole in JSON: sublet ${args.join(' ')}`, async () => {
      text = escapes;
      for (const refused of [true, false]) {
        refuses = refused;
        await printableFrom(args);
      }
    });
  }

  it('comes out printable whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(hostile, fc.constantFrom(...commands), fc.boolean(), async (sent, args, refused) => {
        text = sent;
        refuses = refused;
        await printableFrom(args);
      }),
      fuzzRuns(30),
    );
  }).timeout(fuzzTimeoutMs);

  it('is the same in JSON as it was sent', async () => {
    [text, refuses] = [escapes, false];
    const terminal = new RecordedTerminal();
    await run(['agents', 'agent-1', '-o', 'json', '--master', master.address], terminal);
    assert.equal(JSON.parse(terminal.unpainted).agent.nodeIp, `10.0.0.1${escapes}`);
    const yaml = new RecordedTerminal();
    await run(['agents', 'agent-1', '-o', 'yaml', '--master', master.address], yaml);
    assert.equal(parse(yaml.unpainted).agent.nodeIp, `10.0.0.1${escapes}`);
  });
});

describe('the process on a terminal with colours', () => {
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const place = mkdtempSync(join(tmpdir(), 'sublet-escapes-'));
  let grpc: GrpcServer;
  let http: Server;
  let masterAt = '';
  let agentAt = '';

  before(async () => {
    grpc = new GrpcServer();
    grpc.addService(
      { Watch: definition(agentService.watch), ListAgents: definition(operatorService.listAgents) },
      {
        Watch: (call: { write(response: unknown): void; on(event: string, then: () => void): void }) => {
          call.write({ snapshotBegin: { clusterId: 'x', revision: 1 } });
          call.write({ snapshotEnd: { revision: 1 } });
          let revision = 1;
          const more = setInterval(() => {
            revision++;
            const agentChanged = { agentId: `a${revision}${escapes}` };
            call.write({ changes: { revision, changes: [{ revision, agentChanged }] } });
          }, 50);
          call.on('close', () => clearInterval(more));
          call.on('cancelled', () => clearInterval(more));
        },
        ListAgents: (_: unknown, done: (error: object) => void) => done({ code: 9, details: `no${escapes}` }),
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    masterAt = `127.0.0.1:${port}`;
    http = createServer((_, response) => response.end(JSON.stringify({ agent_id: escapes })));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const address = http.address();
    agentAt = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  });
  after(async () => {
    grpc.forceShutdown();
    http.close();
    rmSync(place, { recursive: true });
  });

  /** What the process writes until `enough` is in it, or until it ends. */
  async function output(args: readonly string[], enough?: string): Promise<string> {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, FORCE_COLOR: '1' } });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (more: string) => {
        out += more;
        if (enough !== undefined && out.includes(enough)) child.kill();
      });
    }
    await new Promise((resolve) => child.once('close', resolve));
    return out;
  }

  const withoutColours = (out: string) => colours.reduce((left, colour) => left.replaceAll(colour, ''), out);

  /** The colours that the program itself uses are all that is not printable. */
  function onlyColours(out: string): void {
    assert.doesNotMatch(withoutColours(out), unprintable, JSON.stringify(out));
    assert.ok(!out.includes('\u001b[31mRED'));
  }

  it('shows a refusal without its escapes', async () => {
    const out = await output(['agents', '--master', masterAt]);
    assert.match(out, /RED/);
    assert.ok(out.includes('\u001b[31msublet:\u001b[39m'), JSON.stringify(out));
    onlyColours(out);
  });

  it('shows a change that is watched without its escapes, also as JSON', async () => {
    onlyColours(await output(['watch', '--master', masterAt], 'RED'));
    const json = await output(['watch', '-o', 'json', '--master', masterAt], 'RED');
    assert.doesNotMatch(json, unprintable);
    assert.match(json, /\\u202ebidi/);
  });

  it('shows what an agent answers over HTTP without its escapes', async () => {
    const out = await output(['agent', 'status', '-o', 'json', '--http', agentAt]);
    assert.equal(JSON.parse(out).agent_id, escapes);
    assert.doesNotMatch(out, unprintable);
  });

  it('row 60: takes no name from a backup into a line to paste that a flag would not take', async () => {
    const file = join(place, 'backup');
    const good = meta(3);
    const members = good.membership.members.map((member) => ({ ...member, name: `$(id)${escapes}` }));
    const bad = { ...good, membership: { ...good.membership, members } };
    const pieces: Uint8Array[] = [];
    const source = { meta: bad, chunks: async function* () {}, close: async () => {} };
    for await (const piece of writeSnapshotFile(source, { savedBy: escapes, savedAt: 0, version: 'spec' })) {
      pieces.push(piece);
    }
    writeFileSync(file, Buffer.concat(pieces));
    const out = await output(['snapshot', 'restore', file, '--unverified', '--data-dir', join(place, 'd')]);
    assert.match(out, /--name: "\$\(id\).*1 to 63 characters/);
    onlyColours(out);
    onlyColours(await output(['snapshot', 'inspect', file]));
  });

  it('puts a folder into a line to paste so that a shell takes it whole', async () => {
    const file = join(place, 'good');
    const pieces: Uint8Array[] = [];
    const source = { meta: meta(3), chunks: async function* () {}, close: async () => {} };
    for await (const piece of writeSnapshotFile(source, { savedBy: 'm1', savedAt: 0, version: 'spec' })) {
      pieces.push(piece);
    }
    writeFileSync(file, Buffer.concat(pieces));
    const folder = join(place, "it's a dir");
    const out = await output(['snapshot', 'restore', file, '--unverified', '--data-dir', folder, '--name', 'm1']);
    assert.ok(out.includes(String.raw`--data-dir '${place}/it'\''s a dir' …`), out);
  });
});

describe('an output that can’t be written', () => {
  it('is one line and exit code 1', async () => {
    const main = fileURLToPath(new URL('main.js', import.meta.url));
    const child = spawn('sh', ['-c', `exec "$0" "$1" version > /dev/full`, process.execPath, main]);
    let notes = '';
    child.stderr.setEncoding('utf8').on('data', (more: string) => (notes += more));
    const exit = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(notes, 'sublet: the output can’t be written: no space left on device (ENOSPC)\n');
    assert.equal(exit, 1);
  });
});
