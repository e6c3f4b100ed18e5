import assert from 'node:assert/strict';
import { defaultHostSettings, type HostInput } from '#host/input.js';
import { HostReconciler } from '#host/reconciler.js';
import { exampleInput } from '#host/testing/example.js';
import { reconcilerContract } from '#host/testing/reconciler-contract.js';
import { noDocker } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';
import { HandClock } from '#storage/testing/hand-clock.js';

/** A host of which nothing is there but chains of ours that can't be taken away; it counts the tries. */
class StubbornHost implements Runner {
  tries = 0;
  /** The commands by which it has such a chain. */
  readonly busy = ['iptables'];

  run(command: string, args: readonly string[]): ReturnType<Runner['run']> {
    const isSave = this.busy.some((each) => command === `${each}-save`);
    const isTry = this.busy.includes(command) && args.includes('-F');
    if (isTry) this.tries += 1;
    const stdout = isSave ? '*filter\n:FORWARD ACCEPT [0:0]\n:SUBLET-FORWARD - [0:0]\nCOMMIT\n' : '';
    return Promise.resolve({ code: isTry ? 1 : 0, stdout, stderr: isTry ? 'Resource busy' : '' });
  }
}

/** Holds no subnet, so that no setting of the machine that runs the spec is wanted. */
function input(...overlays: readonly string[]): HostInput {
  const given = exampleInput([]);
  const settings = { ...defaultHostSettings, cniDir: '/nonexistent/net.d' };
  return { ...given, settings, lease: { ...given.lease, overlays: overlays.map((name) => ({ name })) } };
}

/** Events that come together are one pass, so a retry may be so much later. */
const gatherMs = 51;

describe('the reconciler of a host', () => {
  for (const { name, run } of reconcilerContract(async () => {
    const log = { info: () => {}, warn: () => {} };
    const options = { log, clock: new HandClock(), run: new StubbornHost(), docker: () => noDocker };
    return { value: { reconciler: new HostReconciler(options), inputOf: input } };
  })) {
    it(name, run);
  }
});

describe('the reconciler’s retries', () => {
  const realNow = Date.now;
  afterEach(() => {
    Date.now = realNow;
  });

  it('go by the monotonic clock: a clock that is set, back or forward, changes nothing', async () => {
    const [clock, host] = [new HandClock(), new StubbornHost()];
    const log = { info: () => {}, warn: () => {} };
    const reconciler = new HostReconciler({ log, clock, run: host, docker: () => noDocker });
    reconciler.update(input('dcos'));
    await reconciler.settled();
    assert.equal(host.tries, 1);
    for (const [at, delayMs] of [1_000, 2_000, 4_000, 8_000, 15_000, 15_000].entries()) {
      const hourMs = 3_600_000;
      Date.now = () => realNow() + (at % 2 === 0 ? -hourMs : hourMs);
      clock.turn(delayMs - 1);
      await reconciler.settled();
      assert.equal(host.tries, at + 1, `not before ${delayMs} ms`);
      clock.turn(gatherMs);
      await reconciler.settled();
      assert.equal(host.tries, at + 2, `after ${delayMs} ms`);
    }
    await reconciler.stop();
  });

  it('that fail alike are logged once, also where another part fails in between', async () => {
    const [clock, host, errors] = [new HandClock(), new StubbornHost(), [] as string[]];
    const log = {
      info: () => {},
      warn: (fields: object, message: string) => {
        if (message === 'host step failed' && 'error' in fields) errors.push(String(fields.error));
      },
    };
    const reconciler = new HostReconciler({ log, clock, run: host, docker: () => noDocker });
    reconciler.update(input('dcos'));
    await reconciler.settled();
    // From the next pass on, so that its retries come between those of the first.
    host.busy.push('ip6tables');
    for (let second = 0; second < 60; second++) {
      clock.turn(1_000);
      await reconciler.settled();
    }
    assert.ok(host.tries > 10, String(host.tries));
    assert.deepEqual(
      errors.map((error) => /^"(\w+) /.exec(error)?.[1]),
      ['iptables', 'ip6tables'],
    );
    await reconciler.stop();
  });

  it('leave no timers behind, however many passes fail', async () => {
    const [clock, host] = [new HandClock(), new StubbornHost()];
    const log = { info: () => {}, warn: () => {} };
    const reconciler = new HostReconciler({ log, clock, run: host, docker: () => noDocker });
    for (let pass = 0; pass < 50; pass++) {
      reconciler.update(input('dcos'));
      await reconciler.settled();
    }
    assert.ok(clock.pending <= 3, `${clock.pending} timers`);
    await reconciler.stop();
    assert.equal(clock.pending, 0);
  });
});
