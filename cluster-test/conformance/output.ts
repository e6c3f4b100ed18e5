/**
 * Where the commands of a script write: a buffer with a level, at which it is silent, and indented sections
 * (README of the conformance folder, sections 2 and 4.2).
 */

export const levels = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;
export type Level = (typeof levels)[number];

/** A command ends with this text: an outcome that a file may expect, unlike every other error. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

export class Output {
  level: Level = 'DEBUG';
  #buffer = '';

  write(text: string): void {
    if (this.level !== 'NONE') {
      this.#buffer += text;
    }
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  /** What `section` writes, indented by two spaces and ended by a newline. */
  indented(section: () => void): void {
    const outer = this.#buffer;
    this.#buffer = '';
    try {
      section();
    } finally {
      const lines = this.#buffer.replace(/\n$/, '').split('\n');
      const inner = this.#buffer === '' ? '' : lines.map((line) => `  ${line}\n`).join('');
      this.#buffer = outer + inner;
    }
  }

  /** Parses a level name and makes it the present one. Throws `CommandError`. */
  setLevel(name: string): void {
    const level = levels.find((candidate) => candidate === name.toUpperCase());
    if (level === undefined) {
      throw new CommandError(`log levels must be either of [${levels.join(' ')}]`);
    }
    this.level = level;
  }

  /** Runs one command and gives its result. */
  capture(command: () => void): string {
    this.#buffer = '';
    try {
      command();
    } catch (error) {
      if (!(error instanceof CommandError)) {
        throw error;
      }
      if (this.level === 'NONE') {
        return error.message;
      }
      this.write(error.message);
    }
    return this.#buffer === '' ? 'ok' : this.#buffer;
  }
}
