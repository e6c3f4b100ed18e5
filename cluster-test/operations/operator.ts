/** An operator of masters under test: the program itself, run in this process, as its commands are slow to start. */
import assert from 'node:assert/strict';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import type { Masters } from '#cluster-test/process/masters.js';

class LiveTerminal extends RecordedTerminal {
  override now(): number {
    return Date.now();
  }
}

/** `sublet ARGS`: its exit code, what it wrote to standard output, and all that it wrote. */
export async function command(
  ...args: string[]
): Promise<{ readonly code: number; readonly out: string; readonly output: string }> {
  const terminal = new LiveTerminal();
  const code = await run(args, terminal);
  return { code, out: terminal.out, output: terminal.out + terminal.notes };
}

/** `sublet ARGS --master …`, asked of all that run: its standard output. Fails unless it ends with 0. */
export async function operate(masters: Masters, ...args: string[]): Promise<string> {
  const { code, out, output } = await command(...args, '--master', running(masters).join(','));
  assert.equal(code, 0, `sublet ${args.join(' ')}: ${output}`);
  return out;
}

/** Ends an adoption. With agents missing the command needs their number, and is refused without it. */
export async function endAdoption(masters: Masters): Promise<void> {
  const { awaited = '0' } = JSON.parse(await operate(masters, 'status', '-o', 'json'));
  if (awaited !== '0') {
    const { code, output } = await command('adoption', 'end', '--master', running(masters).join(','));
    assert.equal(code, 1, output);
    assert.match(output, /although_missing|--although-missing/);
  }
  await operate(masters, 'adoption', 'end', ...(awaited === '0' ? [] : ['--although-missing', awaited]));
}

/** API addresses of the masters that run. */
export function running(masters: Masters): string[] {
  return masters.masters.filter(({ child }) => child.running).map(({ api }) => api);
}
