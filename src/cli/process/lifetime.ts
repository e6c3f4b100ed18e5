/**
 * The life of a process that serves until it is stopped: by SIGTERM, SIGINT, or the end of the process that started it
 * (`sublet dev`, known by its IPC channel). It then stops in good order; a second signal ends it at once.
 */
import type { ExitCode } from '#cli/failure.js';
import type { Logger } from '#cli/process/log.js';
import { serviceNotice } from '#cli/process/service-notice.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { onSignals } from '#runtime/signals.js';

export type Running = {
  stop(): Promise<void>;
  /** Why it does not serve yet, for a service manager; undefined: it does. */
  unready(): string | undefined;
};

/** Longer than handing leadership over and closing a store take together. */
const stopBoundMs = 15_000;
/** For what ends by itself when all has stopped. */
const lingerMs = 500;
/** As a shell counts the end by a signal. */
const signalExitBase = 128;
const signalNumbers = new Map<NodeJS.Signals, number>([
  ['SIGTERM', 15],
  ['SIGINT', 2],
]);

/**
 * Runs what `start` starts until a signal, or until it calls `failed`: the process then ends with that exit code, for
 * its supervisor to decide. Resolves with the exit code when all has stopped.
 */
export function serve(log: Logger, start: (failed: (exitCode: ExitCode) => void) => Promise<Running>): Promise<number> {
  const notice = serviceNotice(process.env, systemClock, log);
  return new Promise((resolve, fail) => {
    const reject = (error: unknown): void => {
      notice?.close();
      fail(error);
    };
    let running: Running | undefined;
    let ending: number | undefined;
    const end = (exitCode: number): void => {
      if (ending !== undefined) return;
      ending = exitCode;
      notice?.stopping();
      // While it is still starting there is nothing to hand over: ending is all there is to do.
      if (running === undefined) process.exit(exitCode);
      const bound = setTimeout(() => {
        log.error({ boundMs: stopBoundMs }, 'did not stop in time; ending all the same');
        process.exit(exitCode === 0 ? 1 : exitCode);
      }, stopBoundMs);
      bound.unref();
      running.stop().then(() => {
        clearTimeout(bound);
        finish(exitCode);
      }, reject);
    };
    const stop = (why: string, signal: number): void => {
      if (ending !== undefined) process.exit(signalExitBase + signal);
      log.info({ why }, 'stopping; once more to end at once');
      end(0);
    };
    onSignals([...signalNumbers.keys()], (name) => stop(name, signalNumbers.get(name) ?? 0));
    const orphaned = (): void => stop('the process that started this one has ended', 1);
    if (process.connected) process.once('disconnect', orphaned);
    const finish = (exitCode: number): void => {
      notice?.close();
      // An open channel would keep this process alive.
      process.off('disconnect', orphaned);
      if (process.connected) process.disconnect();
      // Nothing that is left has a say any more. (For the look-up of a name the system waits all the same, at most as
      // long as its resolver does: it can't be taken back.)
      setTimeout(() => process.exit(), lingerMs).unref();
      resolve(exitCode);
    };
    start(end).then((started) => {
      running = started;
      notice?.started(() => started.unready());
    }, reject);
  });
}
