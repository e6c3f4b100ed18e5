/**
 * Runs the host's own tools: iproute2, ipset, iptables, ping. Knows nothing of what they do.
 */
import { spawn } from 'node:child_process';
import { errorCode } from '#errors/unknown-error.js';

export type RunResult = {
  /** Exit code; null when it was ended by a signal (a time-out included). */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunOptions = {
  /** Written to its standard input. */
  readonly input?: string;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  /** Gets standard output line by line as it comes; `stdout` then stays empty, so that long tables are never whole in memory. */
  readonly onLine?: (line: string) => void;
};

export type Runner = {
  /**
   * Runs `command`; never rejects for its exit code. Rejects with `ToolMissingError` if there is no such command.
   * It is ended after `timeoutMs`.
   */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
};

/** The command is not installed. `package` is what Debian calls the package that has it. */
export class ToolMissingError extends Error {
  readonly command: string;

  constructor(command: string) {
    super(`"${command}" is not installed: install it (Debian: apt-get install ${packageOf(command)})`);
    this.command = command;
  }
}

/** Debian's package of each tool that we call. */
export function packageOf(command: string): string {
  if (command === 'ip' || command === 'bridge') return 'iproute2';
  if (command.startsWith('iptables') || command.startsWith('ip6tables')) return 'iptables';
  if (command === 'ping') return 'iputils-ping';
  return command;
}

/** System folders that an agent's own PATH may lack. */
const systemPath = '/usr/local/sbin:/usr/sbin:/sbin';
const runTimeoutMs = 30_000;
/** Characters kept of each stream; what 100,000 entries print is less. */
const outputCharactersMax = 64 * 1024 * 1024;

/** The environment of every tool: plain English messages, and a PATH with the system folders in it. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? '/usr/bin:/bin'}:${systemPath}` };
}

export const processRunner: Runner = {
  run(command, args, { input = '', timeoutMs = runTimeoutMs, onLine } = {}) {
    return new Promise((resolve, reject) => {
      const child = spawn(command, [...args], { env: toolEnvironment(), timeout: timeoutMs });
      const stdout = onLine === undefined ? collect(child.stdout) : eachLine(child.stdout, onLine);
      const stderr = collect(child.stderr);
      child.on('error', (error) => reject(isMissing(error) ? new ToolMissingError(command) : error));
      child.on('close', (code) => resolve({ code, stdout: stdout(), stderr: stderr() }));
      // A tool that ends before it has read everything breaks the pipe; its exit code tells what happened.
      child.stdin.on('error', () => child.stdin.destroy());
      child.stdin.end(input);
    });
  },
};

/** Returns what says that the last line, which may have no end, is done. */
function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): () => string {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  return () => {
    if (rest !== '') onLine(rest);
    return '';
  };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let characters = 0;
  stream.on('data', (chunk: Buffer) => {
    characters += chunk.length;
    if (characters <= outputCharactersMax) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function isMissing(error: Error): boolean {
  return errorCode(error) === 'ENOENT';
}
