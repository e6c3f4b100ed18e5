import assert from 'node:assert/strict';
import type { StepOutcome } from '#host/apply/apply.js';
import { FailedParts } from '#host/apply/failed-parts.js';
import type { Step } from '#host/diff/host-step.js';
import { hostScope, overlayScope, type Part, type Scope } from '#host/problem.js';

function step(part: Part, scope: Scope = hostScope): Step {
  return { kind: 'sysctl', path: part, value: '1', scope, part };
}

const fail = (one: Step): StepOutcome => ({ kind: 'failed', step: one, error: 'no' });

describe('a back-off', () => {
  it('has IPv4’s parts go on while IPv6’s wait, and the other way round', () => {
    const backOff = new FailedParts();
    const parts = ['peers', 'peers6', 'device6', 'mtu', 'forward', 'forward6', 'masquerade', 'masquerade6'] as const;
    const steps = parts.map((part) => step(part));
    backOff.record(
      steps,
      ['device6', 'forward6', 'masquerade6'].map((part) => fail(step(part as Part))),
      0,
    );
    const allowed = backOff.allowed(steps, 1).map(({ part }) => part);
    assert.deepEqual(allowed, ['peers', 'mtu', 'forward', 'masquerade']);
    const other = new FailedParts();
    other.record(steps, [fail(step('forward')), fail(step('mtu'))], 0);
    assert.deepEqual(
      other.allowed(steps, 1).map(({ part }) => part),
      ['peers', 'peers6', 'device6', 'forward6', 'masquerade', 'masquerade6'],
    );
  });

  it('holds all that stands on the device while the device itself fails', () => {
    const backOff = new FailedParts();
    const steps = [...(['device', 'device6', 'mtu', 'fdb', 'peers', 'peers6', 'source-route'] as const)].map((part) =>
      step(part),
    );
    backOff.record(steps, [fail(step('device'))], 0);
    assert.deepEqual(backOff.allowed([...steps, step('forward')], 1), [step('forward')]);
  });

  it('waits 1 s, then twice as long each time, and never longer than 15 s', () => {
    const backOff = new FailedParts();
    const wrong = step('cni', overlayScope('dcos'));
    let nowMs = 0;
    const waits: number[] = [];
    for (let round = 0; round < 6; round++) {
      backOff.record([wrong], [fail(wrong)], nowMs);
      const nextMs = backOff.nextAt() ?? Number.NaN;
      assert.deepEqual(backOff.allowed([wrong], nextMs - 1), []);
      assert.deepEqual(backOff.allowed([wrong], nextMs), [wrong]);
      waits.push(nextMs - nowMs);
      nowMs = nextMs;
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  });
});
