/** The lease as files on a real host, for scripts and for what was made for flannel, and the command that is run when they change. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { clusterId, inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { HostInput, HostSettings } from '#host/input.js';

/** Well before the pass over everything, which comes after 60 s: files are looked at every 3 s. */
const boundMs = 30_000;

describe('the files of the lease', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let driver: HostDriver;
  let settings: HostSettings;
  let folder: string;
  let runDir: string;
  let flannelFile: string;
  /** A line for each run of the hook. */
  let log: string;

  const input = (own: Partial<HostSettings> = {}, overlays = withoutDocker(leaseOf(1))): HostInput =>
    inputFor(1, [2], { ...settings, ...own }, overlays);
  const hookLines = (): readonly string[] =>
    existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];

  before(async function () {
    requires(this, ...hostTools);
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    folder = testFolder('run-files').folder;
    runDir = join(folder, 'run', 'sublet');
    flannelFile = join(folder, 'run', 'flannel', 'subnet.env');
    log = join(folder, 'hook.log');
    const hook = join(folder, 'hook');
    writeFileSync(
      hook,
      `#!/bin/sh\n. "$SUBLET_RUN_DIR/dcos.env" && echo "$1 $SUBLET_CHANGED $SUBLET_CNI_GATEWAY" >> ${log}\n`,
    );
    chmodSync(hook, 0o755);
    settings = settingsFor('run-files-cni', {
      runFiles: { runDir, flannelFile, flannelOverlay: 'dcos' },
      onChange: [hook, 'reload'],
      usesDocker: false,
    });
    driver = new HostDriver(host);
    await driver.update(input());
    await driver.allOk();
  });

  after(async () => {
    await driver?.stop();
    underlay?.remove();
  });

  it('can be read by all and written by none, in folders likewise, also under the agent’s mask', () => {
    for (const file of [join(runDir, 'lease.json'), join(runDir, 'dcos.env'), flannelFile]) {
      assert.equal(statSync(file).mode & 0o7777, 0o644, file);
    }
    assert.equal(statSync(runDir).mode & 0o7777, 0o755);
    const { overlays } = JSON.parse(readFileSync(join(runDir, 'lease.json'), 'utf8'));
    assert.deepEqual(
      overlays.map(({ name, mtu }: { name: string; mtu: number }) => [name, mtu]),
      [
        ['dcos', 1420],
        ['dcos6', 1420],
      ],
    );
  });

  it('are read by a shell as flannel’s own scripts do', async () => {
    // What mk-docker-opts.sh does with the file: source it, then make the options of dockerd of its words.
    const script = `. ${flannelFile} && echo "--bip=$FLANNEL_SUBNET --ip-masq=$([ "$FLANNEL_IPMASQ" = true ] && echo false || echo true) --mtu=$FLANNEL_MTU"`;
    const { code, stdout } = await host.run(['sh', '-eu', '-c', script]);
    assert.deepEqual([code, stdout.trim()], [0, '--bip=9.0.0.1/25 --ip-masq=false --mtu=1420']);
  });

  it('are there when the command is run, which gets the overlays', async () => {
    await until('on_change was run', boundMs, () => (hookLines().length > 0 ? true : undefined));
    assert.match(hookLines()[0] ?? '', /^reload (dcos,dcos6) 9\.0\.0\.1$/);
  });

  it('are put back when they are changed or removed', async () => {
    writeFileSync(join(runDir, 'dcos.env'), `# sublet:${clusterId}\nSUBLET_SUBNET=10.0.0.0/8\n`);
    rmSync(flannelFile);
    await until('both are back', boundMs, () => {
      const env = readFileSync(join(runDir, 'dcos.env'), 'utf8');
      return env.includes('SUBLET_SUBNET=9.0.0.0/24\n') && existsSync(flannelFile) ? true : undefined;
    });
  });

  it('follow the lease: an overlay that goes takes its file along, and the command hears of it', async () => {
    const runsFor6 = (): number => hookLines().filter((line) => /[ ,]dcos6 /.test(line)).length;
    const before = runsFor6();
    const [dcos] = withoutDocker(leaseOf(1));
    assert.ok(dcos);
    await driver.update(input({}, [dcos]));
    await until('dcos6.env is gone', boundMs, () => (existsSync(join(runDir, 'dcos6.env')) ? undefined : true));
    await until('on_change was run for it', boundMs, () => (runsFor6() > before ? true : undefined));
  });

  it('keep no pass waiting for a command that does not end, and the status has what went wrong', async () => {
    const slow = join(folder, 'slow');
    const begun = join(folder, 'begun');
    writeFileSync(
      slow,
      `#!/bin/sh\ntouch ${begun}\nwhile [ ! -e ${folder}/end ]; do sleep 0.05; done\necho broken >&2; exit 4\n`,
    );
    chmodSync(slow, 0o755);
    await driver.update(input({ onChange: [slow] }));
    await until('the command has begun', boundMs, () => (existsSync(begun) ? true : undefined));
    await driver.update(inputFor(1, [3], { ...settings, onChange: [slow] }, withoutDocker(leaseOf(1))));
    await until('a route comes all the same', boundMs, () =>
      host.sh('ip route show').includes('9.0.2.0/24 via 44.128.0.3') ? true : undefined,
    );
    writeFileSync(join(folder, 'end'), '');
    await until('the status has it', boundMs, () => {
      return driver.status.hookError?.endsWith('slow: exit code 4: broken') === true ? true : undefined;
    });
    assert.ok(
      driver.status.overlays.every(({ kind }) => kind === 'ok'),
      JSON.stringify(driver.status),
    );
    assert.ok((await driver.metrics()).hookFailures >= 1);
  });

  it('are gone after leaving; the files of others stay', async () => {
    mkdirSync(runDir, { recursive: true });
    writeFileSync(join(runDir, 'other.env'), 'A=1\n');
    const { left } = await driver.cleanup([clusterId], settings);
    assert.deepEqual(left, []);
    assert.deepEqual(
      [join(runDir, 'lease.json'), join(runDir, 'dcos.env'), flannelFile, join(runDir, 'other.env')].map(existsSync),
      [false, false, false, true],
    );
  });
});
