/** Something with an address that talks: a container of either kind, or a host. */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atEnd } from '#cluster-test/host/netns.js';

const main = join(dirname(fileURLToPath(import.meta.url)), 'endpoint-main.js');

/** Where each serves. */
export const endpointPort = 7000;

export class Endpoint {
  readonly name: string;
  readonly address: string;
  readonly #netns: string;
  readonly #child: ChildProcess;
  readonly #answers: ((line: string) => void)[] = [];
  readonly ready: Promise<void>;

  /** `netns` is the path of its network namespace; `address` what others call it by. */
  constructor(name: string, netns: string, address: string) {
    this.name = name;
    this.address = address;
    this.#netns = netns;
    this.#child = spawn('nsenter', [`--net=${netns}`, process.execPath, main], { stdio: ['pipe', 'pipe', 'inherit'] });
    const forget = atEnd(() => this.#child.kill('SIGKILL'));
    this.#child.once('close', forget);
    const { stdout } = this.#child;
    if (stdout === null) throw new TypeError('standard output is a pipe');
    this.ready = new Promise((resolve) => this.#answers.push(() => resolve()));
    createInterface({ input: stdout }).on('line', (line) => this.#answers.shift()?.(line));
  }

  /** Calls `other`, at a port that leads to an endpoint, and returns the address that it saw the call come from. */
  async seenBy(other: string, port = endpointPort): Promise<string> {
    return String(await this.#ask(`who ${other} ${port}`));
  }

  /** Sends `mebibytes` to `other`; both sides' count and sum. */
  async transfer(other: string, mebibytes: number): Promise<{ sent: string; arrived: string }> {
    const answer = await this.#ask(`send ${other} ${mebibytes}`);
    if (typeof answer === 'object' && answer !== null && 'sent' in answer && 'arrived' in answer) {
      return { sent: String(answer.sent), arrived: String(answer.arrived) };
    }
    throw new Error(`transfer to ${other}: ${JSON.stringify(answer)}`);
  }

  /** One echo of a whole IP packet of `packetBytes` with "don't fragment"; whether it came back. */
  async pings(other: string, packetBytes: number): Promise<boolean> {
    const size = packetBytes - (other.includes(':') ? 48 : 28);
    const args = [`--net=${this.#netns}`, 'ping', '-n', '-c', '1', '-W', '3', '-M', 'do', '-s', String(size), other];
    const child = spawn('nsenter', args, { stdio: 'ignore' });
    return new Promise((resolve) => child.once('close', (code) => resolve(code === 0)));
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin?.end();
    await closed;
  }

  #ask(line: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#answers.push((answer) => {
        const value: unknown = JSON.parse(answer);
        const isError = typeof value === 'object' && value !== null && 'error' in value;
        if (isError) reject(new Error(`${this.name}: ${line}: ${String(value.error)}`));
        else resolve(value);
      });
      this.#child.stdin?.write(`${line}\n`);
    });
  }
}
