/** Listens to the kernel's network events by a long-lived `ip monitor`, and starts it again whenever it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { toolEnvironment } from '#host/tools/runner.js';

export type KernelMonitor = {
  start(): void;
  stop(): Promise<void>;
};

export type MonitorListener = {
  line(line: string): void;
  /** Events were or may have been lost: everything must be looked at. */
  gap(): void;
};

const restartDelayMs = 1_000;

/** Monitors the network namespace of this process. */
export function kernelMonitor(listener: MonitorListener): KernelMonitor {
  let child: ChildProcess | undefined;
  let restart: NodeJS.Timeout | undefined;
  let stopped = false;

  function begin(): void {
    const ip = spawn('ip', ['-N', '-o', 'monitor', 'link', 'address', 'route', 'rule', 'neigh'], {
      env: toolEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = ip;
    createInterface({ input: ip.stdout }).on('line', (line) => listener.line(line));
    // It speaks up when the kernel had to drop events ("No buffer space available").
    ip.stderr.on('data', () => listener.gap());
    // 'error' (no such command) comes without 'close' in no version of Node, so one place restarts.
    ip.on('error', () => undefined);
    ip.on('close', () => {
      if (stopped) return;
      restart = setTimeout(() => {
        begin();
        listener.gap();
      }, restartDelayMs);
    });
  }

  return {
    start: begin,
    async stop() {
      stopped = true;
      clearTimeout(restart);
      if (child === undefined || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
        return;
      }
      const closed = new Promise((resolve) => child?.once('close', resolve));
      child.kill();
      await closed;
    },
  };
}
