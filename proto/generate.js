/**
 * Generates code for the messages under proto/ into dist/proto/: `sublet.js` with its types (protobufjs,
 * static) and `sublet.json`, the descriptors. Does nothing when they are newer than every source.
 * Generated code is never committed.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pbjs from 'protobufjs-cli/pbjs.js';
import pbts from 'protobufjs-cli/pbts.js';

const proto = dirname(fileURLToPath(import.meta.url));
const out = join(proto, '..', 'dist', 'proto');
const sources = readdirSync(proto, { recursive: true })
  .filter((name) => name.endsWith('.proto'))
  .map((name) => join(proto, name))
  .sort();

const run = (tool, args) =>
  new Promise((resolve, reject) => tool.main(args, (error) => (error ? reject(error) : resolve(undefined))));

function modified(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

const newest = Math.max(...[...sources, fileURLToPath(import.meta.url)].map(modified));
if (modified(join(out, 'sublet.d.ts')) < newest) {
  mkdirSync(out, { recursive: true });
  const js = join(out, 'sublet.js');
  const common = ['--path', proto, ...sources];
  await run(pbjs, ['-t', 'json', '--keep-case', '-o', join(out, 'sublet.json'), ...common]);
  await run(pbjs, [
    ...['-t', 'static-module', '-w', 'es6', '--import-path', 'protobufjs/minimal.js'],
    ...['--force-number', '--no-verify', '--no-create', '--no-convert', '--no-delimited', '--no-service'],
    ...['--no-typeurl', '-o', js, ...common],
  ]);
  // 64-bit fields decode to plain numbers: every number in this API is a safe integer, checked where it enters.
  const numbers = '$protobuf.util.Long = null;\n$protobuf.configure();\n';
  writeFileSync(
    js,
    readFileSync(js, 'utf8').replace(/^import .*\n/m, (line) => line + numbers),
  );
  await run(pbts, ['-o', join(out, 'sublet.d.ts'), js]);
}
