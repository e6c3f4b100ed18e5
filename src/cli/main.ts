#!/usr/bin/env node
/** The entry of the `sublet` command: runs it in this process and ends with its exit code. */
import { run } from '#cli/program.js';
import { endWithReader, processTerminal } from '#cli/terminal.js';

endWithReader();
process.exitCode = await run(process.argv.slice(2), processTerminal());
