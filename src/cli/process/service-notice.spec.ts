import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceNotice, serviceNotice } from '#cli/process/service-notice.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { command, requires } from '#cluster-test/requirement.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

function world(watchdogMs?: number) {
  const clock = new VirtualTime();
  const sent: string[] = [];
  const sender = { send: (assignment: string) => void sent.push(assignment), close: () => void sent.push('closed') };
  return { clock, sent, notice: new ServiceNotice({ sender, clock, watchdogMs }) };
}

describe('what a service manager hears', () => {
  it('is why a process is not ready, then that it is, once', async () => {
    const { clock, sent, notice } = world();
    let reason: string | undefined = 'not registered';
    notice.started(() => reason);
    await clock.runFor(1_000);
    assert.deepEqual(sent, ['STATUS=not ready: not registered']);
    reason = undefined;
    await clock.runFor(250);
    await clock.runFor(60_000);
    assert.deepEqual(sent.splice(0), ['STATUS=not ready: not registered', 'STATUS=ready', 'READY=1']);
    reason = 'the lease\nhas ended';
    await clock.runFor(5_000);
    assert.deepEqual(sent, ['STATUS=not ready: the lease has ended']);
  });

  it('is that it has started after half a minute, whatever it waits for', async () => {
    const { clock, sent, notice } = world();
    notice.started(() => 'no leader');
    await clock.runFor(29_900);
    assert.ok(!sent.includes('READY=1'));
    await clock.runFor(200);
    assert.deepEqual(sent, ['STATUS=not ready: no leader', 'READY=1']);
  });

  it('is a sign of life three times in the time of the watchdog, also before it has started', async () => {
    const { clock, sent, notice } = world(90_000);
    await clock.runFor(60_000);
    assert.deepEqual(sent, ['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
    notice.stopping();
    await clock.runFor(30_000);
    assert.deepEqual(sent.slice(3), ['STOPPING=1', 'WATCHDOG=1'], 'stopping takes time, too');
    notice.close();
    await clock.runFor(90_000);
    assert.deepEqual(sent.slice(5), ['closed']);
  });

  it('is nothing where there is none', () => {
    const log = { warn: () => assert.fail() };
    // Of the logger, it uses nothing else.
    assert.equal(serviceNotice({}, new VirtualTime(), log as never), undefined);
  });
});

/** Stands in for systemd: prints each datagram. */
const listener = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True: print(s.recv(4096).decode().replace("\\n", " "), flush=True)
`;

describe('a process of Type=notify', function () {
  this.timeout(60_000);
  const boundMs = 20_000;

  it('notifies a real socket that it is ready, that it lives, and that it stops', async function () {
    requires(this, command('systemd-notify'), command('python3'));
    const folder = mkdtempSync(join(tmpdir(), 'sublet-notify-'));
    const socket = join(folder, 'notify');
    const systemd = new Child(['-c', listener, socket], { command: ['python3'] });
    const [api, peer, http] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    const heard = (): string[] => systemd.output.split('\n');
    const signs = (): number => heard().filter((line) => line === 'WATCHDOG=1').length;
    const hears = (what: string) => until(`it hears ${what}`, boundMs, () => holds(heard().includes(what)));
    const children = [systemd];
    try {
      await hears('bound');
      const master = new Child(
        [
          ...['master', '--data-dir', join(folder, 'data'), '--listen', `${api}`],
          ...['--peer-listen', `${peer}`, '--http-listen', `${http}`],
        ],
        { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '300000' } },
      );
      children.push(master);
      await hears('READY=1');
      assert.ok(heard().includes('STATUS=ready'), systemd.output);
      const { status } = spawnSync('curl', ['-sf', `http://${http}/readyz`]);
      assert.equal(status, 0, 'ready is what /readyz says');
      const before = signs();
      await until('signs of life go on', boundMs, () => holds(signs() > before + 2));
      const second = new Child(
        [...['master', '--data-dir', join(folder, 'data2'), '--listen', `${api}`], ...['--http-listen', `${http}`]],
        { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '300000' } },
      );
      children.push(second);
      await until('one that can not start ends', boundMs, () => holds(!second.running));
      assert.deepEqual(await master.stop(), { code: 0, signal: null });
      await hears('STOPPING=1');
    } finally {
      await Promise.all(children.map((child) => child.kill()));
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
