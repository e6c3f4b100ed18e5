import assert from 'node:assert/strict';
import { RefusedError } from '#api/refusal.js';
import { agentService, operatorService } from '#api/services.js';
import { agentRates, CallRates, operatorRates } from '#master/access/rates.js';
import type { PrincipalName } from '#tls/principal.js';

const a1: PrincipalName = { role: 'agent', id: 'a1' };
const alice: PrincipalName = { role: 'operator', id: 'alice' };
const report = agentService.reportStatus.path;

describe('the rates of an identity', () => {
  let clock: { time: number; now: () => number };
  let rates: CallRates;
  beforeEach(() => {
    clock = { time: 0, now: () => clock.time };
    rates = new CallRates(clock);
  });

  /** How many calls are taken in a row. */
  function taken(principal: PrincipalName, path: string): number {
    for (let n = 0; ; n++) {
      try {
        rates.call(principal, path);
      } catch {
        return n;
      }
    }
  }

  it('allow some calls at once, and then so many a second', () => {
    assert.equal(taken(a1, report), agentRates.calls.burst);
    assert.equal(taken({ role: 'agent', id: 'a2' }, report), agentRates.calls.burst, 'another one has its own');
    clock.time += 1_000;
    assert.equal(taken(a1, report), agentRates.calls.perSecond);
    clock.time += 3_600_000;
    assert.equal(taken(a1, report), agentRates.calls.burst, 'no more than the burst is saved up');
  });

  it('refuse with RESOURCE_EXHAUSTED, and when to try again', () => {
    taken(a1, report);
    assert.throws(
      () => rates.call(a1, report),
      (error) => {
        assert.ok(error instanceof RefusedError);
        assert.equal(error.reason, 'overloaded');
        assert.equal(error.message, 'calls of agent/a1: 10 a second, 40 at once are allowed; try again in 100ms');
        assert.deepEqual(error.details, { retry_ms: '100' });
        return true;
      },
    );
    assert.equal(rates.refused('calls'), 2);
  });

  it('row 40: hold registrations, leaves and lists to rates of their own', () => {
    assert.equal(taken(a1, agentService.register.path), agentRates.registrations.burst);
    assert.equal(taken(a1, agentService.leave.path), agentRates.leaves.burst);
    clock.time += 59_999;
    assert.equal(taken(a1, agentService.leave.path), 0);
    clock.time += 1;
    assert.equal(taken(a1, agentService.leave.path), 1);
    assert.equal(taken(alice, operatorService.listAgents.path), operatorRates.lists.burst);
    assert.equal(taken(alice, operatorService.getAgent.path), operatorRates.calls.burst - operatorRates.lists.burst);
  });

  it('end a connection after so many refusals in a row', () => {
    for (let n = 0; n < agentRates.refusals.burst; n++) assert.equal(rates.refusal('agent/a1'), true);
    assert.equal(rates.refusal('agent/a1'), false);
    clock.time += 200;
    assert.equal(rates.refusal('agent/a1'), true);
    assert.equal(rates.refused('refusals'), 1);
  });

  it('forget identities that were idle, and no others', () => {
    for (let n = 0; n < 999; n++) rates.call({ role: 'agent', id: `old-${n}` }, report);
    clock.time += 5 * 60_000;
    taken(a1, report);
    clock.time += 5 * 60_000;
    taken(a1, report);
    rates.call({ role: 'agent', id: 'new' }, report);
    assert.equal(rates.accounts, 2);
    assert.equal(taken(a1, report), 0);
  });
});
