import assert from 'node:assert/strict';
import { ReaderRevocations } from '#agent/report/reader-revocations.js';
import { sublet } from '#proto/sublet.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import type { Principal, Role } from '#tls/principal.js';

const { ListRevokedReadersResponse } = sublet.v1;
const certificate = (role: Role, id: string, beginsMs = 1_000): Principal => ({
  role,
  id,
  beginsMs,
  endsMs: 1e15,
  serial: '01',
});

describe('the revoked readers that an agent knows', () => {
  let clock: HandClock;
  let revocations: ReaderRevocations;
  /** The versions that were asked with, and what the masters answer; undefined: none of them does. */
  let asked: string[];
  let answer: sublet.v1.ListRevokedReadersResponse.$Properties | undefined;
  let changes: number;
  let warnings: string[];

  beforeEach(() => {
    clock = new HandClock();
    asked = [];
    answer = undefined;
    changes = 0;
    warnings = [];
    const ignored = (): void => undefined;
    revocations = new ReaderRevocations({
      clock,
      random: () => 0.5,
      ask: async (version) => {
        asked.push(version);
        if (answer === undefined) throw new Error('no master answers');
        return ListRevokedReadersResponse.decode(ListRevokedReadersResponse.encode(answer).finish());
      },
      log: { debug: ignored, info: ignored, error: ignored, warn: (_, line) => warnings.push(line) },
    });
    revocations.onChange(() => {
      changes += 1;
    });
  });
  afterEach(() => revocations.stop());

  /** Lets the question that is due be asked and answered. */
  async function turn(ms: number): Promise<void> {
    clock.turn(ms);
    await new Promise(setImmediate);
  }

  it('are asked for at once and within each minute, with the version that is known', async () => {
    answer = {
      version: 'v1',
      readers: [
        { identity: { role: 'viewer', id: 'vera' } },
        { identity: { role: 'operator', id: 'otto' }, acceptedFrom: { seconds: 5, nanos: 250_000_000 } },
      ],
    };
    revocations.start();
    await turn(0);
    assert.deepEqual(asked, ['']);
    assert.ok(revocations.known);
    const revoked = (principal: Principal): boolean => revocations.isRevoked(principal);
    assert.ok(revoked(certificate('viewer', 'vera')));
    assert.ok(!revoked(certificate('operator', 'vera')) && !revoked(certificate('viewer', 'walt')));
    assert.ok(revoked(certificate('operator', 'otto', 5_249)) && !revoked(certificate('operator', 'otto', 5_250)));

    answer = { version: 'v1', unchanged: true };
    await turn(60_000);
    assert.deepEqual([asked, changes], [['', 'v1'], 1]);
    assert.ok(revoked(certificate('viewer', 'vera')));
    answer = { version: 'v2' };
    await turn(60_000);
    assert.deepEqual([asked.length, changes], [3, 2]);
    assert.ok(!revoked(certificate('viewer', 'vera')), 'it is taken back');
  });

  it('stay as they are while no master answers, and are unknown before the first answer', async () => {
    revocations.start();
    await turn(0);
    await turn(2_000);
    assert.equal(revocations.known, false);
    assert.deepEqual(warnings, ['https: no master says which readers are revoked: no master answers'], 'once');
    answer = { version: 'v1', readers: [{ identity: { role: 'viewer', id: 'vera' } }] };
    await turn(4_000);
    assert.ok(revocations.known);
    answer = undefined;
    for (let minute = 0; minute < 3; minute++) await turn(60_000);
    assert.ok(revocations.known && revocations.isRevoked(certificate('viewer', 'vera')));
    assert.equal(warnings.length, 1);
  });

  it('are asked for no more once it is stopped', async () => {
    answer = { version: 'v1' };
    revocations.start();
    revocations.stop();
    await turn(0);
    await turn(60_000);
    assert.deepEqual([asked.length, clock.pending], [1, 0]);
  });
});
