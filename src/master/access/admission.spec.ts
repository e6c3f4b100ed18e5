import assert from 'node:assert/strict';
import type { ServiceError } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { agentService } from '#api/services.js';
import { Admission } from '#master/access/admission.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import { endedCaller } from '#tls/caller.js';
import { callerNamed } from '#tls/testing/test-caller.js';

const limits = { callsPerClient: 2, calls: 3, streamsPerClient: 1, streams: 2 };

describe('admission', () => {
  it('bounds the calls of one client, whatever its ports', () => {
    const admission = new Admission(limits);
    admission.enter('call', callerNamed('10.0.0.1:1000'));
    admission.enter('call', callerNamed('10.0.0.1:1001'));
    assert.throws(
      () => admission.enter('call', callerNamed('10.0.0.1:1002')),
      /calls under way of 10.0.0.1: 2, and 2 are allowed/,
    );
    admission.leave('call', callerNamed('10.0.0.1:1000'));
    admission.enter('call', callerNamed('10.0.0.1:1002'));
    assert.equal(admission.refused, 1);
  });

  it('takes nothing of a caller behind TLS whose connection has ended: its identity is not known any more', () => {
    const admission = new Admission(limits);
    for (const what of ['call', 'stream'] as const) {
      assert.throws(
        () => admission.enter(what, { principal: endedCaller, address: '10.0.0.1:1000' }),
        /the connection of this call has ended/,
      );
    }
    assert.deepEqual(admission.total, { calls: 0, streams: 0 });
  });

  it('bounds the calls of all clients together', () => {
    const admission = new Admission(limits);
    for (const client of [1, 2, 3]) admission.enter('call', callerNamed(`10.0.0.${client}:1`));
    assert.throws(() => admission.enter('call', callerNamed('10.0.0.4:1')), /of all clients: 3, and 3 are allowed/);
  });

  it('counts streams by themselves', () => {
    const admission = new Admission(limits);
    admission.enter('stream', callerNamed('[::1]:1'));
    assert.throws(
      () => admission.enter('stream', callerNamed('[::1]:2')),
      /open streams of \[::1\]: 1, and 1 are allowed/,
    );
    admission.enter('call', callerNamed('[::1]:1'));
    admission.enter('stream', callerNamed('10.0.0.1:1'));
    assert.throws(() => admission.enter('stream', callerNamed('10.0.0.2:1')), /open streams of all clients: 2/);
    assert.deepEqual(admission.total, { calls: 1, streams: 2 });
  });

  it('counts an identity, wherever it calls from, and not the address', () => {
    const admission = new Admission({ callsPerClient: 1, calls: 1_000, streamsPerClient: 1, streams: 1_000 });
    for (let n = 0; n < 8; n++) admission.enter('call', callerNamed(`agent/a1@10.0.0.${n}:1000`));
    assert.throws(
      () => admission.enter('call', callerNamed('agent/a1@10.0.0.9:1')),
      /calls under way of agent\/a1: 8, and 8 are/,
    );
    for (let n = 0; n < 64; n++) admission.enter('call', callerNamed(`operator/alice@10.0.0.1:${n}`));
    assert.throws(
      () => admission.enter('call', callerNamed('operator/alice@10.0.0.1:99')),
      /of operator\/alice: 64, and 64 are/,
    );
    for (let n = 0; n < 16; n++) admission.enter('stream', callerNamed(`agent/a2@10.0.0.1:${n}`));
    assert.throws(
      () => admission.enter('stream', callerNamed('agent/a2@10.0.0.1:99')),
      /open streams of agent\/a2: 16, and 16 are/,
    );
    admission.leave('stream', callerNamed('agent/a2@10.0.0.1:0'));
    admission.enter('stream', callerNamed('agent/a2@10.0.0.2:1'));
  });

  it('keeps a tenth of all calls and streams for operators and admins', () => {
    const admission = new Admission({ callsPerClient: 1, calls: 20, streamsPerClient: 1, streams: 10 });
    for (let n = 0; n < 18; n++) admission.enter('call', callerNamed(`agent/a${n}@10.0.0.1:1`));
    for (const other of ['agent/b@10.0.0.1:1', 'viewer/v@10.0.0.1:1']) {
      assert.throws(
        () => admission.enter('call', callerNamed(other)),
        /calls under way of all clients: 18, and 18 are allowed/,
      );
    }
    admission.enter('call', callerNamed('operator/alice@10.0.0.1:1'));
    admission.enter('call', callerNamed('admin/root@10.0.0.1:1'));
    assert.throws(
      () => admission.enter('call', callerNamed('admin/root@10.0.0.1:1')),
      /of all clients: 20, and 20 are allowed/,
    );
    for (let n = 0; n < 9; n++) admission.enter('stream', callerNamed(`agent/a${n}@10.0.0.1:1`));
    assert.throws(
      () => admission.enter('stream', callerNamed('agent/b@10.0.0.1:1')),
      /of all clients: 9, and 9 are allowed/,
    );
    admission.enter('stream', callerNamed('operator/alice@10.0.0.1:1'));
  });

  it('refuses with RESOURCE_EXHAUSTED, and makes room when calls are over', async () => {
    const admission = { ...limits, callsPerClient: 3 };
    await using masters = await TestMasters.start({ limits: { admission } });
    const { member, services } = masters.master(0);
    const held: (() => void)[] = [];
    member.held = held;
    const calls = Promise.all([1, 2, 3].map((number) => masters.register(`agent-${number}`)));
    await until('three calls are under way', () => services.admission.total.calls === 3);
    const { code, message, reason } = await refusal(masters.register('agent-4'));
    assert.equal(code, 'RESOURCE_EXHAUSTED');
    assert.equal(reason, 'overloaded');
    assert.match(message, /calls under way of 127.0.0.1: 3, and 3 are allowed/);
    member.held = undefined;
    for (const go of held) go();
    await calls;
    assert.equal(services.admission.total.calls, 0);
    await masters.register('agent-4');
  });

  it('makes room when a stream is over', async () => {
    await using masters = await TestMasters.start({ limits: { admission: limits } });
    const { admission } = masters.master(0).services;
    const client = masters.client();
    const first = client.serverStream(agentService.watch, {});
    first.on('error', () => undefined); // It is cancelled below.
    first.resume();
    await until('a stream is open', () => admission.total.streams === 1);
    const second = client.serverStream(agentService.watch, {});
    second.resume();
    const error = await new Promise<ServiceError>((resolve) => second.on('error', resolve));
    assert.equal(reasonOf(error), 'overloaded');
    assert.match(error.message, /RESOURCE_EXHAUSTED.*open streams of 127.0.0.1: 1, and 1 are allowed/);
    first.cancel();
    await until('the stream is over', () => admission.total.streams === 0);
  });
});
