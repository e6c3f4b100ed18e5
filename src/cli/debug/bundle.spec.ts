import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterService, operatorService } from '#api/services.js';
import { tarOf } from '#cli/debug/tar.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { agent1, history, sampleOverlays, status } from '#cli/testing/samples.js';

describe('a bundle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-bundle-'));
  const token = `sj1.${'a'.repeat(43)}.${'b'.repeat(22)}.${'c'.repeat(43)}`;
  let master: CannedMaster;
  let http: Server;
  let at = '';
  /** What HTTP answers instead. */
  let longer: string | undefined;

  before(async () => {
    master = await new CannedMaster()
      .on(clusterService.getStatus, () => status)
      .on(clusterService.listMembers, () => ({ members: status.members }))
      .on(operatorService.getNetwork, () => ({ clusterId: 'sublet' }))
      .on(operatorService.listOverlays, () => sampleOverlays)
      .on(operatorService.listReservations, () => ({}))
      .on(operatorService.listHistory, () => history)
      .on(operatorService.listAgents, () => ({ agents: [agent1], revision: 9 }))
      .listen();
    http = createServer((request, response) => {
      response.writeHead(request.url === '/readyz' ? 503 : 200).end(longer ?? `this is ${request.url}\n`);
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const address = http.address();
    at = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    writeFileSync(join(folder, 'agent.json'), JSON.stringify({ join: token, state_dir: join(folder, 'state') }));
  });
  after(async () => {
    http.close();
    await master[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  async function made(name: string, ...args: readonly string[]) {
    const terminal = new RecordedTerminal();
    const file = join(folder, name);
    const addresses = ['--master-http', at, '--agent-http', '127.0.0.1:9', '--no-host'];
    const code = await run(['debug', 'bundle', file, ...addresses, ...args], terminal);
    return { code, file, out: terminal.out, notes: terminal.notes };
  }

  it('has the answers of masters and processes, configuration files without secrets, and a manifest of all', async () => {
    const { code, file, out, notes } = await made(
      'one.tar.gz',
      '--master',
      master.address,
      '--config',
      join(folder, 'agent.json'),
    );
    assert.equal(code, 0, notes);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    execFileSync('tar', ['-xzf', file, '-C', folder]);
    const read = (name: string): string => readFileSync(join(folder, 'sublet-debug', name), 'utf8');
    const manifest: {
      files: { name: string; bytes: number; sha256: string; secrets_left_out?: number }[];
      missing: { name: string; why: string }[];
    } = JSON.parse(read('manifest.json'));
    assert.deepEqual(manifest.files.map(({ name }) => name).sort(), [
      ...['config/1-agent.json', 'doctor.json', 'master/metrics.txt', 'master/readyz.txt'],
      ...['agents', 'history', 'members', 'network', 'overlays', 'reservations', 'status'].map(
        (each) => `masters/${each}.json`,
      ),
    ]);
    for (const { name, bytes, sha256 } of manifest.files) {
      assert.equal(createHash('sha256').update(read(name)).digest('hex'), sha256, name);
      assert.equal(Buffer.byteLength(read(name)), bytes, name);
    }
    assert.deepEqual(
      manifest.missing.map(({ name }) => name),
      ['agent/metrics.txt', 'agent/readyz.txt', 'agent/status.txt'],
    );
    for (const { why } of manifest.missing) assert.equal(why, 'connect ECONNREFUSED 127.0.0.1:9');
    assert.equal(read('master/readyz.txt'), '# status 503\nthis is /readyz\n');
    assert.equal(JSON.parse(read('masters/agents.json')).agents[0].agentId, 'agent-1');
    assert.match(read('config/1-agent.json'), /"join":"sj1\.\[left out\]"/);
    for (const { name } of manifest.files) assert.doesNotMatch(read(name), /c{43}/, name);
    assert.match(
      out,
      /^Wrote .*one\.tar\.gz: 11 files of .*, and manifest\.json, which lists them\. 1 secret left out\. It names hosts/,
    );
    assert.equal(notes, '3 parts could not be had: the manifest says why.\n');
  });

  it('is made also when no master answers, which is a fault to be found', async () => {
    const { code, file } = await made('two.tar.gz', '--master', '127.0.0.1:9', '--config', join(folder, 'agent.json'));
    assert.equal(code, 0);
    const manifest = JSON.parse(
      execFileSync('tar', ['-xOzf', file, 'sublet-debug/manifest.json'], { encoding: 'utf8' }),
    );
    const [lost] = manifest.missing.filter(({ source }: { source: string }) => source === 'masters');
    assert.match(lost.why, /no master reachable/);
  });

  it('has no part of a secret at the cut of a long part', async () => {
    const charactersMax = 8 * 1024 * 1024;
    const after = ' '.repeat(charactersMax - 20);
    longer = `${token}${after}`;
    const { file } = await made('long.tar.gz', '--master', '127.0.0.1:9', '--config', join(folder, 'agent.json'));
    longer = undefined;
    const metrics = ['-xOzf', file, 'sublet-debug/master/metrics.txt'];
    const text = execFileSync('tar', metrics, { encoding: 'utf8', maxBuffer: 2 * charactersMax });
    assert.doesNotMatch(text.slice(0, 100), /c/);
    assert.ok(text.endsWith(after));
  });

  it('takes the place of no file', async () => {
    writeFileSync(join(folder, 'three.tar.gz'), 'mine');
    const { code, notes } = await made('three.tar.gz', '--master', master.address);
    assert.equal(code, 2);
    assert.match(notes, /three\.tar\.gz is there already: choose another name/);
    assert.equal(readFileSync(join(folder, 'three.tar.gz'), 'utf8'), 'mine');
  });

  it('is an archive of any files, also empty ones and whole blocks', () => {
    const sizes = [0, 1, 511, 512, 513, 10_240];
    const entries = sizes.map((size) => ({ name: `f${size}`, bytes: Buffer.alloc(size, 0x61) }));
    const listed = execFileSync('tar', ['-tvf', '-'], {
      input: tarOf(entries, 1_748_779_200),
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    assert.deepEqual(
      listed
        .trimEnd()
        .split('\n')
        .map((line) => line.replaceAll(/ +/g, ' ')),
      sizes.map((size) => `-rw------- 0/0 ${size} 2025-06-01 12:00 f${size}`),
    );
    assert.throws(() => tarOf([{ name: 'x'.repeat(101), bytes: Buffer.alloc(0) }], 0), RangeError);
  });
});
