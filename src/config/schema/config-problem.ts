/** What is wrong with a configuration: every problem at once, each with its place. */

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'file'; readonly file: string; readonly line: number }
  /** `--heartbeat-ms` */
  | { readonly kind: 'flag'; readonly flag: string }
  /** Nowhere: a default, or something that is missing. */
  | { readonly kind: 'default' };

export type ConfigProblem = {
  readonly origin: Origin;
  /** `raft.heartbeat_ms`, `network.overlays[0].name`; empty: the document as a whole. */
  readonly key: string;
  /** Names the value and what is allowed. */
  readonly message: string;
};

/** A configuration that can't be used. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** One line: `master.json:5: raft.heartbeat_ms: 5 is out of range: …`; for a flag `--heartbeat-ms: 5 is …`. */
export function formatProblem({ origin, key, message }: ConfigProblem): string {
  switch (origin.kind) {
    case 'file':
      return `${origin.file}:${origin.line}: ${key === '' ? '' : `${key}: `}${message}`;
    case 'flag':
      return `${origin.flag}: ${message}`;
    case 'default':
      return `${key}: ${message}`;
  }
}

/** `network.overlays[0].name`. Keys that are no plain words are quoted. */
export function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((step, at) => {
      if (typeof step === 'number') return `[${step}]`;
      if (!/^[A-Za-z_][\w-]*$/.test(step)) return `[${JSON.stringify(step)}]`;
      return at === 0 ? step : `.${step}`;
    })
    .join('');
}

/** The value as a message shows it: JSON, cut short. */
export function showValue(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  if (text.length <= 64) return text;
  return text.startsWith('"') ? `${text.slice(0, 62)}…"` : `${text.slice(0, 63)}…`;
}
