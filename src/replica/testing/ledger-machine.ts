/**
 * A state machine for tests: commands are lines of text, kept in order. `unknown` is a command that it does not know;
 * `mark …` and `note …` are of kinds that came with a later release, which it may know or not.
 */
import type { ApplyPosition, RecordChange, StateMachine, StateRecord } from '#replica/ports/state-machine.js';

export type LedgerLine = { readonly index: number; readonly time: number; readonly text: string };

/** What a release of the ledger knows. */
export type LedgerRelease = 'first' | 'second';

export const laterLedgerKinds = ['mark', 'note'];

export function ledgerKinds(release: LedgerRelease): readonly string[] {
  return release === 'first' ? ['line'] : ['line', ...laterLedgerKinds];
}

export function ledgerKindOf(command: Uint8Array): string {
  const [first = ''] = new TextDecoder().decode(command).split(' ');
  return laterLedgerKinds.includes(first) ? first : 'line';
}

export class LedgerMachine implements StateMachine<string> {
  readonly #release: LedgerRelease;
  /** What this process applied itself. */
  readonly lines: LedgerLine[] = [];
  /** The whole state: by number of the line, its text. */
  readonly records = new Map<number, string>();
  restores = 0;

  constructor(release: LedgerRelease) {
    this.#release = release;
  }

  apply(
    command: Uint8Array,
    at: ApplyPosition,
  ): { readonly output: string; readonly changes: readonly RecordChange[] } {
    const text = new TextDecoder().decode(command);
    const kind = text === 'unknown' ? text : ledgerKindOf(command);
    if (!ledgerKinds(this.#release).includes(kind)) {
      throw new Error(`command kind "${kind}" is not known to this version`);
    }
    this.lines.push({ index: at.index, time: at.time, text });
    const number = this.records.size + 1;
    this.records.set(number, text);
    return {
      output: `${number}: ${text}`,
      changes: [{ key: numberKey(number), value: new TextEncoder().encode(text) }],
    };
  }

  async restore(records: AsyncIterable<readonly StateRecord[]>): Promise<void> {
    this.records.clear();
    this.restores += 1;
    for await (const batch of records) {
      for (const { key, value } of batch) {
        const number = new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(0);
        this.records.set(number, new TextDecoder().decode(value));
      }
    }
  }

  get text(): string {
    return [...this.records].map(([number, line]) => `${number} ${line}`).join('\n');
  }
}

function numberKey(number: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}
