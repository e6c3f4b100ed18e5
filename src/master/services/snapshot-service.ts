/**
 * SaveSnapshot: a backup of the plan as a stream of the snapshot file's bytes, by the master that is asked. While it is
 * under way the log behind it is kept, so a caller that does not read is ended.
 */

import { once } from 'node:events';
import type { ServerWritableStream, UntypedHandleCall } from '@grpc/grpc-js';
import { toBuffer } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import { clusterService } from '#api/services.js';
import { isTokenKey } from '#ipam/codec/record.js';
import { operatorNameLengthMax } from '#ipam/limits.js';
import type { Admission } from '#master/access/admission.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import type { ClusterControl } from '#master/members/membership-step.js';
import { type CallerOf, type StreamMethod, streamError } from '#master/server/api-server.js';
import { decode, type Endpoint, endpoint } from '#master/server/endpoint.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import type { PlanClient } from '#master/services/plan-client.js';
import type { Clock } from '#replica/ports/clock.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import { type SignSnapshot, writeSnapshotFile } from '#storage/snapshots/snapshot-file.js';
import { formatDuration } from '#text/duration.js';
import { memberNameForm } from '#text/name-form.js';
import { byAddress, type Caller } from '#tls/caller.js';

type Stream = ServerWritableStream<Buffer, Uint8Array>;

/** As for a watcher. */
export const stalledMs = 30_000;

export type SnapshotServiceOptions = {
  readonly control: Pick<ClusterControl, 'openSnapshot'> | undefined;
  readonly name: string;
  readonly version: string;
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  /** With the certificate of this master; undefined: it has none. */
  readonly sign: SignSnapshot | undefined;
  readonly admission: Admission;
  readonly callerOf?: CallerOf;
  readonly closed: () => string | undefined;
  /** Writes to the log that the caller reads the plan. @throws RefusedError */
  readonly record: (caller: Caller) => Promise<unknown>;
  readonly report: (error: unknown) => void;
};

export function saveSnapshotMethod(options: SnapshotServiceOptions): StreamMethod {
  const handle: UntypedHandleCall = (stream: Stream) => {
    const fail = (error: unknown): void => {
      stream.emit('error', streamError(toRefusedError(error, options.report)));
    };
    const caller = (options.callerOf ?? byAddress)(stream.getPeer());
    try {
      options.admission.enter('stream', caller);
    } catch (error) {
      fail(error);
      return;
    }
    save(stream, caller, options)
      .then(() => stream.end(), fail)
      .finally(() => options.admission.leave('stream', caller));
  };
  return { path: clusterService.saveSnapshot.path, requestStream: false, handle };
}

async function save(stream: Stream, caller: Caller, options: SnapshotServiceOptions): Promise<void> {
  const { control, name, version, clock, wallClock, sign, closed, record } = options;
  const { path, request, response } = clusterService.saveSnapshot;
  const { stale } = decode(path, request, stream.request);
  const why = closed();
  if (why !== undefined) throw new RefusedError('unavailable', why);
  if (control === undefined) throw new RefusedError('unimplemented', 'this log is not backed up through Sublet');
  const gone = new AbortController();
  const left = (): void => gone.abort();
  stream.once('cancelled', left);
  // One that is asked for what this master has may have no leader to write it.
  if (!stale) await record(caller);
  if (gone.signal.aborted) return;
  const source = await control.openSnapshot({ fresh: !stale });
  try {
    const saved = { savedBy: name, savedAt: wallClock(), version };
    for await (const chunk of writeSnapshotFile(withoutTokens(source), saved, sign)) {
      if (gone.signal.aborted) return;
      if (stream.write(toBuffer(response.encode({ chunk }).finish()))) continue;
      await drained(stream, gone.signal, clock);
    }
  } finally {
    stream.off('cancelled', left);
    await source.close();
  }
}

function withoutTokens(source: SnapshotSource): SnapshotSource {
  return {
    meta: source.meta,
    close: () => source.close(),
    async *chunks(chunkBytesMax) {
      for await (const chunk of source.chunks(chunkBytesMax)) {
        const kept = chunk.filter(({ key }) => !isTokenKey(key));
        if (kept.length > 0) yield kept;
      }
    },
  };
}

function tooLong(field: string, value: string, max: number): RefusedError {
  return new RefusedError('invalid-argument', `${field} has ${value.length} characters: ${max} at most are allowed`);
}

/** For masters that send a backup. */
export function recordBackupEndpoint(plan: PlanClient, wallClock: () => number): Endpoint {
  return endpoint(forwardMethods.recordBackup, { place: 'leader', idempotent: true }, async ({ by, master }) => {
    if (by.length > operatorNameLengthMax) throw tooLong('by', by, operatorNameLengthMax);
    if (master.length > memberNameForm.lengthMax) throw tooLong('master', master, memberNameForm.lengthMax);
    await plan.change({ wallTime: wallClock(), by, expectedRevision: undefined, kind: 'record-backup', master });
    return {};
  });
}

/** Resolves also when the caller went away, and drains nothing any more. @throws RefusedError */
async function drained(stream: Stream, gone: AbortSignal, clock: Clock): Promise<void> {
  const stalled = new AbortController();
  const cancel = clock.after(stalledMs, () => stalled.abort());
  try {
    await once(stream, 'drain', { signal: AbortSignal.any([gone, stalled.signal]) });
  } catch (error) {
    if (gone.aborted) return;
    if (!stalled.signal.aborted) throw error;
    throw new RefusedError('too-slow', `save snapshot: nothing was read for ${formatDuration(stalledMs)}`);
  } finally {
    cancel();
  }
}
