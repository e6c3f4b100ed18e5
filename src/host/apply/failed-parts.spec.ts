import assert from 'node:assert/strict';
import type { StepOutcome } from '#host/apply/apply.js';
import { FailedParts } from '#host/apply/failed-parts.js';
import type { Step } from '#host/diff/host-step.js';
import { hostScope, overlayScope, type Part, type Scope } from '#host/problem.js';

function step(part: Part, scope: Scope = hostScope): Step {
  return { kind: 'sysctl', path: part, value: '1', scope, part };
}

function route(subnet: string): Step {
  const entry = { kind: 'route', action: 'add', via: '44.128.0.2', device: 'vtep1024', table: 'main' } as const;
  return { ...entry, subnet, scope: overlayScope('dcos'), part: 'peers' };
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

  it('of one entry of a table holds up no other, and is in one problem with those that wait', () => {
    const backOff = new FailedParts();
    const stuck = [route('9.0.1.0/24'), route('9.0.2.0/24')];
    backOff.record(stuck, stuck.map(fail), 0);
    const later = route('9.0.3.0/24');
    assert.deepEqual(backOff.allowed([...stuck, later], 1), [later]);
    // What has come meanwhile is done, and clears nothing of what waits.
    backOff.record([...stuck, later], [{ kind: 'done', step: later }], 1);
    assert.deepEqual(backOff.allowed(stuck, 2), []);
    assert.deepEqual(
      backOff.errors().map(({ scope, part, error }) => [scope, part, error]),
      [[overlayScope('dcos'), 'peers', 'no; no']],
    );
    assert.deepEqual(backOff.allowed(stuck, 1_000), stuck);
    backOff.record(stuck, [{ kind: 'done', step: stuck[0] ?? later }, fail(stuck[1] ?? later)], 1_000);
    assert.deepEqual(backOff.allowed(stuck, 1_001), [stuck[0]]);
    backOff.record([], [], 1_001);
    assert.deepEqual(backOff.errors(), []);
  });

  it('of very many entries of a table holds the table, until none of them fails', () => {
    const backOff = new FailedParts();
    const many = Array.from({ length: 300 }, (_, at) => route(`9.1.${at}.0/24`));
    backOff.record(many.slice(0, 40), many.slice(0, 40).map(fail), 0);
    backOff.record(many, many.slice(40, 80).map(fail), 1);
    assert.deepEqual(backOff.allowed([...many, route('9.2.0.0/24')], 2), []);
    assert.deepEqual(backOff.allowed([step('peers6', overlayScope('dcos'))], 2).length, 1);
    assert.match(backOff.errors()[0]?.error ?? '', /^no; no; no \(and 37 more\)$/);
    backOff.record(many, [{ kind: 'done', step: route('9.1.0.0/24') }], 1_001);
    assert.deepEqual(backOff.errors(), []);
    backOff.record(many, [fail(route('9.1.0.0/24'))], 2_000);
    assert.equal(backOff.allowed(many, 2_001).length, many.length - 1);
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
