import assert from 'node:assert/strict';
import { experimental, logVerbosity, setLogger } from '@grpc/grpc-js';
import { grpcLogs, noGrpcLogs } from '#cli/process/grpc-log.js';
import { makeLogger } from '#cli/process/log.js';

describe('the lines of grpc-js', () => {
  const printed: string[] = [];
  const recorder = (...words: readonly unknown[]): void => {
    printed.push(words.join(' '));
  };

  beforeEach(() => {
    printed.length = 0;
    setLogger({ error: recorder, info: recorder, debug: recorder });
  });
  afterEach(() => setLogger(console));

  const complain = (): void => experimental.log(logVerbosity.ERROR, 'Failed to connect to proxy');

  it('stay away from the terminal of a command', () => {
    noGrpcLogs({});
    complain();
    assert.deepEqual(printed, []);
  });

  it('come where gRPC’s own variables ask for them', () => {
    noGrpcLogs({ GRPC_TRACE: 'all' });
    complain();
    assert.equal(printed.length, 1);
  });

  it('are in the log of a process at its lowest level alone', () => {
    const lines: unknown[] = [];
    const log = makeLogger({ level: 'trace', format: 'json' }, { process: 'agent', name: 'host-1' });
    log.trace = (fields: unknown) => void lines.push(fields);
    grpcLogs(log);
    complain();
    assert.deepEqual([lines, printed], [[{ from: 'grpc-js' }], []]);
  });
});
