import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { holds, until } from '#cluster-test/process/condition.js';
import type { StepOutcome } from '#host/apply/apply.js';
import { ChangeHook, type HookCall, hookRunner } from '#host/apply/change-hook.js';
import { defaultHostSettings, type HostSettings } from '#host/input.js';
import { overlayScope } from '#host/problem.js';

const boundMs = 30_000;

const settings: HostSettings = {
  ...defaultHostSettings,
  onChange: ['/bin/x', 'y'],
  runFiles: { runDir: '/run/sublet' },
};

function wrote(overlay: string, kind: 'done' | 'skipped' = 'done'): StepOutcome {
  const file = { kind: 'cni-write', dir: '/d', name: `${overlay}.conflist`, content: '{}' } as const;
  return { kind, step: { ...file, scope: overlayScope(overlay), part: 'cni' } };
}

/** A hook whose runs end when the test says so. */
function world() {
  const calls: HookCall[] = [];
  const ends: ((error: string | undefined) => void)[] = [];
  const timers: { delayMs: number; run: () => void }[] = [];
  const warned: string[] = [];
  let outcomes = 0;
  const hook = new ChangeHook({
    log: { info: () => {}, warn: (_, message) => void warned.push(message) },
    clock: {
      after: (delayMs, run) => {
        const timer = { delayMs, run };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0);
      },
    },
    run: (call) => {
      calls.push(call);
      return new Promise((resolve) => ends.push(resolve));
    },
    onOutcome: () => {
      outcomes += 1;
    },
  });
  const end = async (error?: string): Promise<void> => {
    ends.shift()?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { hook, calls, end, timers, warned, outcomes: () => outcomes };
}

describe('on_change', () => {
  it('is run after a pass that has changed what others read, and not after one that has not', () => {
    const { hook, calls } = world();
    hook.passed([wrote('dcos', 'skipped')], settings);
    hook.passed([], settings);
    const { onChange: _, ...without } = settings;
    hook.passed([wrote('dcos')], without);
    assert.deepEqual(calls, []);
    hook.passed([wrote('dcos')], settings);
    assert.deepEqual(calls, [
      {
        command: ['/bin/x', 'y'],
        env: { SUBLET_CHANGED: 'dcos', SUBLET_CNI_DIR: '/etc/cni/net.d', SUBLET_RUN_DIR: '/run/sublet' },
      },
    ]);
  });

  it('is run one at a time: what changes meanwhile is one more run', async () => {
    const { hook, calls, end } = world();
    hook.passed([wrote('a')], settings);
    hook.passed([wrote('c')], settings);
    hook.passed([wrote('b')], settings);
    assert.equal(calls.length, 1);
    await end();
    assert.deepEqual(
      calls.map(({ env }) => env.SUBLET_CHANGED),
      ['a', 'b,c'],
    );
    await end();
    assert.deepEqual(hook.counts, { runs: 2, failures: 0 });
    assert.equal(calls.length, 2);
  });

  it('that fails is tried again after a minute, and the status has why until it succeeds', async () => {
    const { hook, calls, end, timers, warned, outcomes } = world();
    hook.passed([wrote('dcos')], settings);
    await end('exit code 3: no such job');
    assert.equal(hook.error, 'on_change /bin/x: exit code 3: no such job');
    assert.equal(outcomes(), 1);
    assert.deepEqual(
      timers.map(({ delayMs }) => delayMs),
      [60_000],
    );
    timers[0]?.run();
    await end('exit code 3: no such job');
    assert.equal(warned.length, 1, 'an error that stays is logged once');
    timers.at(-1)?.run();
    assert.equal(calls.at(-1)?.env.SUBLET_CHANGED, 'dcos');
    await end();
    assert.equal(hook.error, '');
    assert.deepEqual(hook.counts, { runs: 3, failures: 2 });
  });

  it('is not begun after a stop', async () => {
    const { hook, calls, end, timers } = world();
    hook.passed([wrote('a')], settings);
    hook.passed([wrote('b')], settings);
    hook.stop();
    await end('late');
    assert.equal(calls.length, 1);
    assert.deepEqual(timers, []);
  });
});

/** Whether it is more than an entry that its parent has not read. */
function lives(pid: string): boolean {
  if (pid === '') return false;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the run of on_change', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-hook-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function script(text: string, mode = 0o755): string {
    const path = join(folder, 'hook');
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, mode);
    return path;
  }
  const run = (program: string, timeoutMs?: number, ...args: string[]) =>
    hookRunner(timeoutMs)({ command: [program, ...args], env: { SUBLET_CHANGED: 'dcos' } });

  it('has its arguments as they are, its variables and nothing else of the agent', async () => {
    process.env.SUBLET_SPEC_SECRET = 'x';
    const out = join(folder, 'out');
    try {
      assert.equal(await run(script(`{ echo "$1"; env; pwd; } > ${out}`), undefined, '$(id); a b'), undefined);
    } finally {
      delete process.env.SUBLET_SPEC_SECRET;
    }
    const said = readFileSync(out, 'utf8');
    assert.match(said, /^\$\(id\); a b\n/);
    assert.match(said, /^SUBLET_CHANGED=dcos$/m);
    assert.ok(!said.includes('SPEC_SECRET') && said.endsWith('\n/\n'), said);
  });

  it('reports how it failed, with the last line that it wrote', async () => {
    assert.equal(await run(script('echo one >&2; echo two >&2; exit 7')), 'exit code 7: two');
    assert.equal(await run(script('kill -TERM $$')), 'ended by SIGTERM');
    assert.match((await run(join(folder, 'none'))) ?? '', /is not run: ENOENT/);
  });

  it('is ended with all its children when it takes too long, and not held up by one in the background', async () => {
    const pid = join(folder, 'pid');
    // Long enough for a busy machine to begin it.
    const late = await run(script(`sleep 600 & echo $! > ${pid}; wait`), 3_000);
    assert.equal(late, 'did not end within 3000 ms, and was ended');
    // A machine that is busy enough ends the shell before it has started anything: then there is nothing to be ended.
    const child = existsSync(pid) ? readFileSync(pid, 'utf8').trim() : '';
    await until('its child has ended', boundMs, () => holds(!lives(child)));
    assert.equal(await run(script(`sleep 2 & exit 0`)), undefined);
  });

  it('is refused where other users may change it', async () => {
    assert.match((await run(script('exit 0', 0o777))) ?? '', /is not run: other users may write in .*hook/);
    const path = script('exit 0');
    chmodSync(folder, 0o777);
    assert.match((await run(path)) ?? '', /is not run: other users may write in .*sublet-hook-/);
    chmodSync(folder, 0o700);
    if (process.geteuid?.() !== 0) return;
    chownSync(path, 65_534, 65_534);
    assert.match((await run(path)) ?? '', /belongs to another user \(uid 65534\)/);
  });
});
