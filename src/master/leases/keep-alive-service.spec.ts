import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import { Admission, defaultAdmissionLimits } from '#master/access/admission.js';
import { KeepAliveService } from '#master/leases/keep-alive-service.js';
import type { KeepAliveOutcome } from '#master/leases/lease-keeper.js';
import type { StreamReport } from '#master/leases/stream-reports.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** A leader with one keep-alive stream, whose keep-alives are answered so. */
function leader(answer: () => Promise<KeepAliveOutcome>) {
  const reports: StreamReport[] = [];
  const service = new KeepAliveService({
    office: { keepAlive: answer, streams: (more) => reports.push(...more) },
    leadership: { seat: { kind: 'here' }, onChange: () => () => undefined },
    router: { serve: () => assert.fail('a leader hands nothing on') },
    plan: { clusterId: 'test', incarnation: '' },
    admission: new Admission(defaultAdmissionLimits),
    clock: new VirtualTime(),
    via: 'm1-a',
    report: (error) => assert.fail(String(error)),
    foreign: () => undefined,
  });
  const idle = () => undefined;
  const stream = Object.assign(new EventEmitter(), {
    getPeer: () => '10.0.0.1:4000',
    pause: idle,
    resume: idle,
    write: idle,
    end: idle,
  });
  const errors: unknown[] = [];
  stream.on('error', (error) => errors.push(error));
  Reflect.apply(service.method.handle, undefined, [stream]);
  const send = async (): Promise<void> => {
    const request = { agentId: 'h', instanceId: 'i', epoch: 7, runId: 'r1' };
    stream.emit('data', Buffer.from(agentService.keepAlive.request.encode(request).finish()));
    await nextTurn();
  };
  return { reports, errors, send, close: () => stream.emit('close') };
}

describe('a keep-alive stream', () => {
  it('that its caller closes is reported, with the process that it was of', async () => {
    const { reports, send, close } = leader(() => Promise.resolve({ nextInMs: 10_000, revision: 7 }));
    await send();
    close();
    assert.deepEqual(
      reports.map(({ closed, keepAlive: { agentId, runId, stream, connection } }) => [
        closed,
        agentId,
        runId,
        stream,
        connection,
      ]),
      [[true, 'h', 'r1', 'm1-a/1', '10.0.0.1:4000']],
    );
  });

  it('that this master ends is not reported: its process goes on, and opens another one', async () => {
    const { reports, errors, send, close } = leader(() => Promise.reject(new RefusedError('unavailable', 'no leader')));
    await send();
    assert.equal(errors.length, 1);
    close();
    assert.deepEqual(reports, []);
  });
});
