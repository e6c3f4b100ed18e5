/** Where a statement without braces has left the line of its `if`, `else`, `for` or `while`, in code that Biome has laid out. */

/** A whole header on one line. A statement that follows it ends in `;`, and a block in `{`. */
const header = /^ *(?:\} )?(?:else )?(?:if|for(?: await)?|while) \(.*\)(?: *\/\/.*)?$/;
const bareElse = /^ *(?:\} )?else$/;
/** The first line of a header that has several; it ends with a `)` at the same depth. */
const headerStart = /^ *(?:\} )?(?:else )?(?:if|for(?: await)?|while) \($/;

/** Such headers, as `line: text`. Lines count from 1. */
export function headersWithoutBraces(source: string): readonly string[] {
  const lines = source.split('\n');
  return lines.flatMap((line, at) =>
    header.test(line) || bareElse.test(line) || endsHeader(lines, at) ? [`${at + 1}: ${line.trim()}`] : [],
  );
}

function endsHeader(lines: readonly string[], at: number): boolean {
  const depth = depthOf(lines[at] ?? '');
  if (lines[at]?.trim() !== ')') return false;
  const start = lines.slice(0, at).findLast((line) => line !== '' && depthOf(line) <= depth);
  return start !== undefined && headerStart.test(start);
}

function depthOf(line: string): number {
  return line.length - line.trimStart().length;
}
