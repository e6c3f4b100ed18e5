/**
 * The yardstick of the machine: a bare grpc-js unary echo between two processes, with a message about as large
 * as a registration. Run as a program it is the server; it prints its port.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';
import { type StormResult, storm } from '#cluster-test/bench/storms/storm.js';

const path = '/bench.Echo/Echo';
const messageBytes = 160;
const same = (bytes: Buffer): Buffer => bytes;

/** Measures the echo under load, `calls` at `concurrency`, and at one at a time. */
export async function measureEcho(calls: number, concurrency: number): Promise<StormResult<void>> {
  const server = fork(fileURLToPath(import.meta.url), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  try {
    const port = await portOf(server);
    if (server.pid === undefined) throw new Error('the echo server could not be started');
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const message = Buffer.alloc(messageBytes, 0x61);
    const call = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, same, same, message, (error: ServiceError | null, answer?: Buffer) =>
          error ? reject(error) : resolve(answer),
        );
      });
    const result = await storm({ calls, concurrency, call, pids: [server.pid], sample: async () => {} });
    client.close();
    return result;
  } finally {
    server.kill();
  }
}

async function portOf(server: ChildProcess): Promise<number> {
  const [port] = await once(server, 'message');
  if (typeof port !== 'number') throw new TypeError(`the echo server said ${String(port)} instead of its port`);
  return port;
}

function serve(): void {
  const server = new Server();
  const definition = {
    Echo: {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  };
  server.addService(definition, {
    Echo: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) => answer(null, call.request),
  });
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.send?.(port);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send !== undefined) serve();
