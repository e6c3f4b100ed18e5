/** `-o json` is what a gRPC command line that knows nothing of Sublet prints for the same call. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { run as runSublet } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { Child, sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const run = promisify(execFile);
const boundMs = 30_000;

describe('-o json', function () {
  this.timeout(3 * boundMs);
  let folder = '';
  let api = '';
  const children: Child[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-json-'));
    const [one = '', two = '', three = '', four = ''] = (await freePorts(4)).map((port) => `127.0.0.1:${port}`);
    api = one;
    children.push(
      new Child([
        ...['master', '--data-dir', folder, '--listen', one, '--peer-listen', two, '--http-listen', three],
        ...['--overlay', 'name=dcos,subnet=9.0.0.0/8,prefix=24', '--vtep-subnet6', 'fd01:a::/64'],
      ]),
      new Child([
        ...['agent', '--id', 'agent-1', '--node-ip', '10.0.0.1', '--network', 'plan'],
        ...['--state-dir', join(folder, 'agent'), '--http-listen', four, '--master', one],
      ]),
    );
    await until('the agent is registered', boundMs, async () => {
      const { code, stdout } = await sublet(['agents', '--master', api]);
      return holds(code === 0 && /agent-1 .*plan only/.test(stdout));
    });
    assert.equal((await sublet(['reserve', 'dcos', '9.0.50.0/24', '--for', 'db-1', '--master', api])).code, 0);
  });
  after(async () => {
    await Promise.all(children.map((child) => child.kill()));
    rmSync(folder, { recursive: true, force: true });
  });

  /** Presence and the disk's free space move on between two calls; all else stands still. */
  const withoutClock = (json: string) => json.replace(/"(lastHeard|lastContact|freeBytes)": "[^"]*"/g, '"$1": "…"');

  const calls: readonly (readonly [readonly string[], string, object])[] = [
    [['agents'], 'sublet.v1.OperatorService/ListAgents', {}],
    [['agents', 'agent-1'], 'sublet.v1.OperatorService/GetAgent', { agentId: 'agent-1' }],
    [['overlays'], 'sublet.v1.OperatorService/ListOverlays', {}],
    [['lookup', '9.0.0.7'], 'sublet.v1.OperatorService/Lookup', { ip: '9.0.0.7' }],
    [['history'], 'sublet.v1.OperatorService/ListHistory', {}],
    [['reservations'], 'sublet.v1.OperatorService/ListReservations', {}],
    [['network'], 'sublet.v1.OperatorService/GetNetwork', {}],
    [['status'], 'sublet.v1.ClusterService/GetStatus', {}],
  ];
  for (const [args, method, request] of calls) {
    it(`of \`sublet ${args.join(' ')}\` equals what buf curl prints for ${method}`, async () => {
      const flags = [
        '--schema',
        'proto',
        '--http2-prior-knowledge',
        '--protocol',
        'grpc',
        '-d',
        JSON.stringify(request),
      ];
      const { stdout: wanted } = await run('node_modules/.bin/buf', ['curl', ...flags, `http://${api}/${method}`]);
      const terminal = new RecordedTerminal();
      assert.equal(await runSublet([...args, '-o', 'json', '--master', api], terminal), 0);
      assert.equal(withoutClock(terminal.out).trimEnd(), withoutClock(wanted).trimEnd());
    });
  }
});
