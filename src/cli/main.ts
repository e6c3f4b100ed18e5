#!/usr/bin/env node
/** The entry of the `sublet` command: runs it, on the right Node.js, and ends with its exit code. */
import { handOver } from '#runtime/hand-over.js';

if (!(await handOver())) {
  const [{ run }, { endWithReader, processTerminal }] = await Promise.all([
    import('#cli/program.js'),
    import('#cli/terminal.js'),
  ]);
  endWithReader();
  process.exitCode = await run(process.argv.slice(2), processTerminal());
}
