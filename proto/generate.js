/**
 * Generates code for the messages under proto/ into dist/proto/: `sublet.js` with its types (protobufjs,
 * static), `sublet.json`, the descriptors as protobufjs has them, and `sublet.binpb`, those of the public API and of
 * health as protobuf itself has them (by buf), for server reflection. Does nothing when they are newer than every source.
 * Generated code is never committed.
 */
import { execFileSync } from 'node:child_process';
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

/** The generated code as it is used here. */
function adapted(code) {
  // 64-bit fields decode to plain numbers: every number in this API is a safe integer, checked where it enters.
  const prelude = [
    `import { messageWriter as $messageWriter } from './shared-writer.js';`,
    '$protobuf.util.Long = null;',
    '$protobuf.configure();',
    '',
  ];
  const own = 'writer = $Writer.create()';
  const asked = / && \$Object\.hasOwnProperty\.call\(message, "\w+"\)/g;
  // Another protobufjs may write it otherwise, and then nothing would be replaced, without a word.
  if (!code.includes(own) || !asked.test(code)) throw new Error('protobufjs generates other code than is adapted here');
  return (
    code
      .replace(/^import .*\n/m, (line) => line + prelude.join('\n'))
      .replaceAll(own, 'writer = $messageWriter()')
      // What a message inherits is a default, and defaults are not encoded: which object a value is of need not be asked.
      .replaceAll(asked, '')
  );
}

const newest = Math.max(...[...sources, fileURLToPath(import.meta.url)].map(modified));
mkdirSync(out, { recursive: true });
if (modified(join(out, 'sublet.binpb')) < newest) {
  const modules = join(proto, '..', 'node_modules');
  const described = (folder, path) =>
    execFileSync(join(modules, '.bin', 'buf'), [
      ...['build', folder, '--path', join(folder, path), '--as-file-descriptor-set', '-o', '-#format=binpb'],
    ]);
  const health = described(join(modules, 'grpc-health-check', 'proto'), 'health/v1/health.proto');
  // Encoded messages one after the other are the encoding of their merger: one set of all files.
  writeFileSync(join(out, 'sublet.binpb'), Buffer.concat([described(proto, 'sublet/v1'), health]));
}
if (modified(join(out, 'sublet.d.ts')) < newest) {
  const js = join(out, 'sublet.js');
  const common = ['--path', proto, ...sources];
  await run(pbjs, ['-t', 'json', '--keep-case', '-o', join(out, 'sublet.json'), ...common]);
  await run(pbjs, [
    ...['-t', 'static-module', '-w', 'es6', '--import-path', 'protobufjs/minimal.js'],
    ...['--force-number', '--no-verify', '--no-create', '--no-convert', '--no-delimited', '--no-service'],
    ...['--no-typeurl', '-o', js, ...common],
  ]);
  writeFileSync(js, adapted(readFileSync(js, 'utf8')));
  await run(pbts, ['-o', join(out, 'sublet.d.ts'), js]);
}
