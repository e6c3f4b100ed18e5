/** A terminal that remembers what was written; its clock stands still. */
import { plain, type Style, safe, type Terminal } from '#cli/terminal.js';

export class RecordedTerminal implements Terminal {
  readonly columns: number | undefined;
  out = '';
  /** What was written to stdout, before it was made printable. */
  unpainted = '';
  notes = '';
  /** What is answered to questions; undefined: no terminal can answer. */
  readonly #answer: string | undefined;

  /** Without columns it is a pipe. */
  constructor(columns?: number, answer?: string) {
    this.columns = columns;
    this.#answer = answer;
  }

  get interactive(): boolean {
    return this.#answer !== undefined;
  }

  ask(question: string): Promise<string> {
    this.note(question);
    return Promise.resolve(this.#answer ?? '');
  }

  /** Everything that would reach the screen. */
  get raw(): string {
    return this.out + this.notes;
  }

  write(text: string): void {
    this.unpainted += text;
    this.out += safe(text);
  }

  note(text: string): void {
    this.notes += safe(text);
  }

  paint(style: Style, text: string): string {
    return plain(style, text);
  }

  paintNote(style: Style, text: string): string {
    return plain(style, text);
  }

  /** What happens in place of a pause; rejecting, it ends what would go on for ever. */
  paused: (ms: number) => Promise<void> = () => Promise.reject(new Error('this terminal has no time'));

  pause(ms: number): Promise<void> {
    return this.paused(ms);
  }

  /** Screens are kept one after the other. */
  clear(): void {
    this.out += '\f';
  }

  now(): number {
    return recordedNow;
  }
}

/** 2025-06-01T12:00:00Z, in ms since 1970. */
export const recordedNow = 1_748_779_200_000;

/** The time so many seconds before the terminal's now, as the API has it. */
export function secondsAgo(seconds: number): { seconds: number; nanos: number } {
  return { seconds: recordedNow / 1_000 - seconds, nanos: 0 };
}
