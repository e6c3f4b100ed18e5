/** Echo requests from one place to an address, twenty a second until they are stopped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { atEnd, type Netns } from '#cluster-test/host/netns.js';

export class Flow {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = '';
  #answered: () => void = () => undefined;

  private constructor(from: Netns, to: string) {
    this.#child = spawn('nsenter', [`--net=${from.path}`, 'ping', '-n', '-i', '0.05', to], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const forget = atEnd(() => this.#child.kill('SIGKILL'));
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => {
        forget();
        resolve();
      });
    });
    this.#child.stdout?.on('data', (bytes: Buffer) => {
      this.#output += bytes.toString();
      if (this.#output.includes('icmp_seq=')) this.#answered();
    });
  }

  /** Resolves once it flows. */
  static async start(from: Netns, to: string): Promise<Flow> {
    const flow = new Flow(from, to);
    await Promise.race([new Promise<void>((resolve) => (flow.#answered = resolve)), flow.#ended]);
    return flow;
  }

  /** Ends it. `lost`: those without an answer but for the last one, which may be on its way. */
  async stop(): Promise<{ readonly answered: number; readonly lost: number }> {
    this.#child.kill('SIGINT');
    await this.#ended;
    const [, sent = '0', answered = '0'] = /(\d+) packets transmitted, (\d+) received/.exec(this.#output) ?? [];
    return { answered: Number(answered), lost: Math.max(0, Number(sent) - Number(answered) - 1) };
  }
}
