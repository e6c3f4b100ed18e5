/** A benchmark's result: rows for people, JSON for machines. */

export type Row = {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What is wanted, if anything: at most or at least so much, in the same unit. */
  readonly wanted?: { readonly atMost: number } | { readonly atLeast: number };
};

/** Prints the rows as a table, then everything as one line of JSON. */
export function print(
  title: string,
  circumstances: Readonly<Record<string, string | number>>,
  rows: readonly Row[],
): void {
  console.log(`\n${title}`);
  for (const [name, value] of Object.entries(circumstances)) console.log(`  ${name}: ${value}`);
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const row of rows) {
    console.log(
      `  ${row.name.padEnd(width)}  ${figure(row.value).padStart(10)} ${row.unit.padEnd(8)} ${verdict(row)}`.trimEnd(),
    );
  }
  console.log(`\n${JSON.stringify({ title, ...circumstances, results: rows })}`);
}

function figure(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function verdict({ value, wanted }: Row): string {
  if (wanted === undefined) return '';
  const [met, text] =
    'atMost' in wanted
      ? [value <= wanted.atMost, `≤ ${wanted.atMost}`]
      : [value >= wanted.atLeast, `≥ ${wanted.atLeast}`];
  return `wanted ${text}: ${met ? 'met' : 'MISSED'}`;
}
