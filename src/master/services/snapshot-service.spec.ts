import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RefusedError } from '#api/refusal.js';
import { clusterService } from '#api/services.js';
import { Admission, defaultAdmissionLimits } from '#master/access/admission.js';
import { saveSnapshotMethod, stalledMs } from '#master/services/snapshot-service.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { meta, record } from '#storage/testing/sample.js';
import { formatCaller } from '#tls/caller.js';

/** A call as grpc-js would hand it over, whose caller reads only when the spec says so. */
class Caller extends EventEmitter {
  readonly request: Uint8Array;
  pieces = 0;
  ended = false;
  refused: { readonly code?: unknown; readonly message: string } | undefined;

  constructor(request: { readonly stale?: boolean }) {
    super();
    this.request = clusterService.saveSnapshot.encodeRequest(request);
    this.on('error', (error) => {
      this.refused = error;
    });
  }

  getPeer(): string {
    return '127.0.0.1:4711';
  }

  write(): boolean {
    this.pieces += 1;
    return false;
  }

  end(): void {
    this.ended = true;
  }
}

class Backup {
  readonly time = new VirtualTime();
  readonly admission = new Admission(defaultAdmissionLimits);
  readonly caller: Caller;
  /** Callers of backups that were recorded. */
  readonly recorded: string[] = [];
  opened = 0;
  closed = 0;
  readonly #recording: Promise<unknown>;

  constructor(request: { readonly stale?: boolean } = {}, recording: Promise<unknown> = Promise.resolve()) {
    this.#recording = recording;
    this.caller = new Caller(request);
    const source = {
      meta: meta(7),
      async *chunks() {
        yield [record('a', '1')];
      },
      close: async () => {
        this.closed += 1;
      },
    };
    const { handle } = saveSnapshotMethod({
      control: {
        openSnapshot: async () => {
          this.opened += 1;
          return source;
        },
      },
      name: 'm1',
      version: '1',
      clock: this.time,
      wallClock: () => 0,
      sign: undefined,
      admission: this.admission,
      closed: () => undefined,
      record: (caller) => this.record(formatCaller(caller)),
      report: (error) => assert.fail(String(error)),
    });
    Reflect.apply(handle, undefined, [this.caller]);
  }

  record(caller: string): Promise<unknown> {
    this.recorded.push(caller);
    return this.#recording;
  }

  /** Runs all work that is ready. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  }
}

describe('saving a snapshot', () => {
  it('goes on as the caller reads, and closes the snapshot at the end', async () => {
    const backup = new Backup();
    for (let piece = 1; piece <= 4; piece++) {
      await backup.settle();
      assert.equal(backup.caller.pieces, piece);
      await backup.time.runFor(stalledMs - 1);
      backup.caller.emit('drain');
    }
    await backup.settle();
    assert.equal(backup.caller.ended, true);
    assert.deepEqual([backup.closed, backup.admission.total.streams], [1, 0]);
  });

  it('ends for a caller that reads nothing for 30 s, and closes the snapshot, which keeps the log behind it', async () => {
    const backup = new Backup();
    await backup.settle();
    await backup.time.runFor(stalledMs);
    await backup.settle();
    assert.match(backup.caller.refused?.message ?? '', /save snapshot: nothing was read for 30s/);
    assert.deepEqual([backup.closed, backup.admission.total.streams], [1, 0]);
  });

  it('is in the log before the first byte is sent, and is refused when that fails', async () => {
    let written: () => void = () => undefined;
    const backup = new Backup(
      {},
      new Promise<void>((resolve) => {
        written = resolve;
      }),
    );
    await backup.settle();
    assert.deepEqual([backup.recorded, backup.opened], [['127.0.0.1:4711'], 0]);
    written();
    await backup.settle();
    assert.deepEqual([backup.opened, backup.caller.pieces], [1, 1]);
    const refused = new Backup({}, Promise.reject(new RefusedError('unavailable', 'there is no leader')));
    await refused.settle();
    assert.match(refused.caller.refused?.message ?? '', /there is no leader/);
    assert.equal(refused.opened, 0);
  });

  it('is not opened for a caller that went away before it was in the log', async () => {
    let written: () => void = () => undefined;
    const backup = new Backup(
      {},
      new Promise<void>((resolve) => {
        written = resolve;
      }),
    );
    await backup.settle();
    backup.caller.emit('cancelled');
    written();
    await backup.settle();
    assert.deepEqual([backup.opened, backup.admission.total.streams], [0, 0]);
  });

  it('needs no leader when it is asked for what the master has', async () => {
    const backup = new Backup(
      { stale: true },
      Promise.reject(new Error('not asked for')).catch(() => undefined),
    );
    await backup.settle();
    assert.deepEqual([backup.recorded, backup.opened], [[], 1]);
  });

  it('closes the snapshot when the caller goes away', async () => {
    const backup = new Backup();
    await backup.settle();
    backup.caller.emit('cancelled');
    await backup.settle();
    assert.deepEqual([backup.closed, backup.admission.total.streams], [1, 0]);
    assert.equal(backup.caller.refused, undefined);
  });
});
