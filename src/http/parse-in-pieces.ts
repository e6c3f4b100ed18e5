/**
 * Node.js parses all that it has read of a connection in one go, 64 KiB and thousands of short requests, also once the
 * connection was closed for the first of them. Here it gets small pieces, and none once the connection is closed.
 */
import type { Socket } from 'node:net';

/** Some two hundred requests as short as they can be, which take about 2 ms. */
const pieceBytes = 4 * 1024;

/** To be called once an HTTP server has taken the connection. */
export function parseInPieces(socket: Socket): void {
  const [parse, ...others] = socket.listeners('data');
  // This Node.js reads in another way.
  if (parse === undefined || others.length > 0) return;
  socket.removeAllListeners('data');
  // With another listener than its own, the server's parser does not read the socket past it.
  socket.on('data', (bytes: Buffer) => {
    for (let at = 0; at < bytes.length && !socket.destroyed; at += pieceBytes) {
      if (socket.isPaused()) {
        socket.unshift(bytes.subarray(at));
        return;
      }
      Reflect.apply(parse, socket, [bytes.subarray(at, at + pieceBytes)]);
    }
  });
}
