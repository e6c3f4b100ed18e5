import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { Intake } from '#master/leases/intake.js';
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
});
