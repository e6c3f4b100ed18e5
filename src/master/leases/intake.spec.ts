import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { Intake } from '#master/leases/intake.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import type { Principal } from '#tls/principal.js';

const agent: Principal = { role: 'agent', id: 'a1', serial: '01', beginsMs: 0, endsMs: Number.POSITIVE_INFINITY };

describe('the intake of connections', () => {
  const sockets: Socket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
  });
  function socket(): Socket {
    const made = new Socket();
    sockets.push(made);
    return made;
  }

  it('closes connections of an identity beyond its number, and makes room when some have gone', async () => {
    const notices: string[] = [];
    const intake = new Intake({
      rates: { refusal: () => true },
      clock: new VirtualTime(),
      random: () => 0,
      refused: (port, { refusal, caller, message }) => notices.push(`${port} ${refusal} ${caller}: ${message}`),
    });
    const open = Array.from({ length: 16 }, socket);
    assert.ok(open.every((each) => intake.takeApi(each, agent)));
    const late = socket();
    assert.equal(intake.takeApi(late, agent), false);
    assert.equal(late.destroyed, true);
    assert.deepEqual(notices, [
      'api many-connections agent/a1: 16 connections, and as many are allowed: this one is closed',
    ]);
    assert.equal(intake.takeApi(socket(), { ...agent, id: 'a2' }), true, 'another one has its own');
    assert.equal(intake.takeApi(socket(), undefined), true, 'without TLS addresses are not counted here');
    open[0]?.destroy();
    await new Promise(setImmediate);
    assert.equal(intake.takeApi(socket(), agent), true);
    assert.equal(intake.takeApi(socket(), agent), false);
    assert.equal(intake.api.refused('many-connections'), 2);
  });

  it('R4: has connections of operators end after an hour, more or less by a tenth, and those of others go on', async () => {
    const minuteMs = 60_000;
    for (const [random, minutes] of [
      [0, 54],
      [0.5, 60],
    ] as const) {
      const clock = new VirtualTime();
      const intake = new Intake({
        rates: { refusal: () => true },
        clock,
        random: () => random,
        refused: () => assert.fail(),
      });
      const [ofAgent, ofAdmin, without, ofMaster] = [socket(), socket(), socket(), socket()];
      intake.takeApi(ofAgent, agent);
      intake.takeApi(ofAdmin, { ...agent, role: 'admin' });
      intake.takeApi(without, undefined);
      intake.takePeer(ofMaster, { ...agent, role: 'master' });
      await clock.runFor(minutes * minuteMs - 1);
      assert.equal(ofAdmin.destroyed, false);
      await clock.runFor(2);
      assert.equal(ofAdmin.destroyed, true);
      await clock.runFor(24 * 60 * minuteMs);
      assert.deepEqual([ofAgent.destroyed, without.destroyed, ofMaster.destroyed], [false, false, false]);
    }
  });
});
