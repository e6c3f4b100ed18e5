/**
 * `npm run -s conformance -- DIR_OR_FILE…`: runs conformance files and prints a line for each, then
 * `N passed, N failed`. Exit code 1 if any failed, 2 if none was named.
 */
import { readFileSync } from 'node:fs';
import { type ScriptFile, scriptFiles } from '#cluster-test/conformance/files.js';
import { runFile } from '#cluster-test/conformance/suite.js';

const paths = process.argv.slice(2);
let passed = 0;
let failed = 0;

function run(file: ScriptFile): void {
  const outcome = runFile(file.path, readFileSync(file.path, 'utf8'));
  if (outcome.ok) {
    passed += 1;
    console.log(`ok ${file.name} (${outcome.commands} commands)`);
  } else {
    failed += 1;
    console.log(`FAIL ${file.name}${outcome.line === undefined ? '' : ` line ${outcome.line}`}`);
    console.log(outcome.report.replace(/^/gm, '  '));
  }
}

for (const path of paths) {
  const files = scriptFiles(path);
  if (files === undefined) {
    failed += 1;
    console.log(`FAIL ${path} is neither a file nor a folder with .txt files`);
  }
  files?.forEach(run);
}
if (paths.length === 0) {
  console.error('usage: npm run -s conformance -- DIR_OR_FILE…');
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = paths.length === 0 ? 2 : Math.min(failed, 1);
