/**
 * One end of a connection, run inside a container's network namespace: answers on port 7000 with the caller's address
 * and the bytes that it sent, and calls others as lines on standard input demand.
 */
import { createHash, type Hash } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const port = 7000;
const answerTimeoutMs = 10_000;
/** Big enough to fill packets, small enough to be made at once. */
const chunk = Buffer.alloc(1 << 20, 'Sublet lets subnets. ');

/** The first byte says what the caller wants: `w`ho am I, or `s`ink what follows. */
function serve(socket: Socket): void {
  let mode = '';
  let bytes = 0;
  const hash = createHash('sha256');
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    const from = mode === '' ? 1 : 0;
    if (mode === '') mode = String.fromCharCode(data[0] ?? 0);
    bytes += data.length - from;
    hash.update(data.subarray(from));
  });
  socket.on('end', () => {
    const caller = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    socket.end(mode === 'w' ? caller : `${bytes} ${hash.digest('hex')}`);
  });
}

function call(address: string, send: (socket: Socket) => void, to = port): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: to, timeout: answerTimeoutMs });
    let answer = '';
    socket.on('connect', () => send(socket));
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('timeout', () => socket.destroy(new Error('no answer in time')));
    socket.on('error', reject);
    socket.on('end', () => resolve(answer));
  });
}

async function transfer(address: string, chunks: number): Promise<{ sent: string; arrived: string }> {
  const hash: Hash = createHash('sha256');
  const arrived = await call(address, (socket) => {
    socket.write('s');
    for (let i = 0; i < chunks; i++) {
      hash.update(chunk);
      socket.write(chunk);
    }
    socket.end();
  });
  return { sent: `${chunks * chunk.length} ${hash.digest('hex')}`, arrived };
}

const server = createServer({ allowHalfOpen: true }, serve);
server.listen(port, '::', () => process.stdout.write('"ready"\n'));
for await (const line of createInterface({ input: process.stdin })) {
  const [what, address = '', number] = line.split(' ');
  try {
    const answer =
      what === 'who'
        ? await call(address, (socket) => socket.end('w'), Number(number))
        : await transfer(address, Number(number));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
  }
}
process.exit(0);
