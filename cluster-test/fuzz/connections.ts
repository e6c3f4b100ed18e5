/** Many short connections to one port, each with bytes of its own, some at a time. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Amount } from '#cluster-test/fuzz/amount.js';
import type { TlsMaterial } from '#tls/certificate/tls-files.js';

const atOnce = 24;
/** What the other end has for an answer, in ms, before the connection is closed. */
const openMs = 10;

export type ConnectionsOptions = {
  /** HOST:PORT. */
  readonly to: string;
  /** Undefined: in clear. */
  readonly material?: TlsMaterial;
  readonly protocol: 'h2' | 'http/1.1';
  readonly bytes: () => Buffer;
  readonly amount: Amount;
  /** Called now and then; throws to end it. */
  readonly check: () => void;
};

export async function sendAll({ to, material, protocol, bytes, amount, check }: ConnectionsOptions): Promise<void> {
  const [host = '', port = ''] = to.split(':');
  const open = (): Socket => {
    if (material === undefined) return connect(Number(port), host);
    const { ca, cert, key } = material;
    // A certificate of a master names no host.
    const checkServerIdentity = (): undefined => undefined;
    return connectTls({ host, port: Number(port), ca, cert, key, ALPNProtocols: [protocol], checkServerIdentity });
  };
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = open();
      const end = (): void => {
        socket.destroy();
        resolve();
      };
      socket.on('error', end);
      socket.on('close', () => resolve());
      socket.resume();
      socket.once(material === undefined ? 'connect' : 'secureConnect', () => {
        socket.write(bytes());
        setTimeout(end, openMs);
      });
    });
  const worker = async (): Promise<void> => {
    while (amount.next()) {
      await one();
      check();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
