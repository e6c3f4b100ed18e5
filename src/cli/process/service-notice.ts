/**
 * What a service manager hears of a process (sd_notify(3)): that it is ready, how it is, that it stops, and, for a
 * watchdog, that it is alive. Node.js has no datagram sockets of Unix, so that systemd-notify(1) sends for it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from '#cli/process/log.js';
import type { Clock } from '#replica/ports/clock.js';

/** Sends one assignment, like `READY=1`. */
export type NoticeSender = { send(assignment: string): void; close(): void };

export type ServiceNoticeOptions = {
  readonly sender: NoticeSender;
  readonly clock: Clock;
  /** How often the manager wants a sign of life, in ms; undefined: it has no watchdog. */
  readonly watchdogMs: number | undefined;
};

/** Readiness is looked at this often until it is there, and then more seldom, for the status line. */
const unreadyEveryMs = 250;
const readyEveryMs = 5_000;
/**
 * After this the process counts as started all the same: what is ordered after it goes on, and the manager does not
 * end what waits for masters or members.
 */
const patienceMs = 30_000;
/** Signs of life in the time in which one is wanted. */
const watchdogShare = 3;
/** Of a status line. */
const statusCharactersMax = 200;

export class ServiceNotice {
  readonly #options: ServiceNoticeOptions;
  readonly #cancels = new Map<'look' | 'alive', () => void>();
  #sinceMs = 0;
  #isReady = false;
  #status = '';

  constructor(options: ServiceNoticeOptions) {
    this.#options = options;
    this.#alive();
  }

  /** The process has started. `unready` says why it is not ready yet; undefined: it is. */
  started(unready: () => string | undefined): void {
    this.#sinceMs = this.#options.clock.now();
    this.#look(unready);
  }

  stopping(): void {
    this.#cancels.get('look')?.();
    this.#options.sender.send('STOPPING=1');
  }

  close(): void {
    for (const cancel of this.#cancels.values()) cancel();
    this.#options.sender.close();
  }

  #look(unready: () => string | undefined): void {
    const { sender, clock } = this.#options;
    const reason = unready();
    this.#say(reason === undefined ? 'ready' : `not ready: ${reason}`);
    if (!this.#isReady && (reason === undefined || clock.now() - this.#sinceMs >= patienceMs)) {
      this.#isReady = true;
      sender.send('READY=1');
    }
    const delayMs = this.#isReady ? readyEveryMs : unreadyEveryMs;
    this.#cancels.set(
      'look',
      clock.after(delayMs, () => this.#look(unready)),
    );
  }

  #say(text: string): void {
    const status = text.replaceAll(/\s+/g, ' ').slice(0, statusCharactersMax);
    if (status === this.#status) return;
    this.#status = status;
    this.#options.sender.send(`STATUS=${status}`);
  }

  /** By a timer of this process: a loop of events that stands still sends none. */
  #alive(): void {
    const { sender, clock, watchdogMs } = this.#options;
    if (watchdogMs === undefined) return;
    sender.send('WATCHDOG=1');
    const delayMs = Math.max(1, Math.floor(watchdogMs / watchdogShare));
    this.#cancels.set(
      'alive',
      clock.after(delayMs, () => this.#alive()),
    );
  }
}

/** Undefined where no manager listens: the process is not one of `Type=notify`. */
export function serviceNotice(
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  log: Logger,
): ServiceNotice | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdog } = env;
  if (socket === undefined || socket === '') return undefined;
  const microseconds = Number(watchdog);
  const watchdogMs = microseconds > 0 ? microseconds / 1_000 : undefined;
  return new ServiceNotice({ sender: systemdNotify(socket, log), clock, watchdogMs });
}

/** One small process for all assignments: a master of some gigabytes is not forked for each sign of life. */
const loop = 'while IFS= read -r assignment; do systemd-notify "$assignment"; done';

function systemdNotify(socket: string, log: Logger): NoticeSender {
  let child: ChildProcess | undefined;
  let isClosed = false;
  const start = (): ChildProcess => {
    const started = spawn('/bin/sh', ['-c', loop], {
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', NOTIFY_SOCKET: socket },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let said = '';
    started.stderr?.on('data', (bytes: Buffer) => {
      // The same complaint comes with each assignment.
      if (said === '') log.warn({ error: bytes.toString().trim() }, 'the service manager could not be notified');
      said = 'once';
    });
    started.stdin?.on('error', () => {});
    const ended = (): void => {
      if (child !== started) return;
      child = undefined;
      if (!isClosed) log.warn({}, 'what notifies the service manager has ended; it is started again when it is needed');
    };
    started.once('error', ended);
    started.once('exit', ended);
    // It does not keep this process alive.
    started.unref();
    return started;
  };
  return {
    send(assignment) {
      if (isClosed) return;
      child ??= start();
      child.stdin?.write(`${assignment}\n`);
    },
    close() {
      isClosed = true;
      child?.stdin?.end();
    },
  };
}
