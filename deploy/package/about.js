/**
 * What is in a package. `about.js sbom FROM TO`: npm's list of it, without what differs from one build to the next.
 * `about.js licences FOLDER`: the name, version and licence of each library in the folder's node_modules, to standard output.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [task, from = '', to = ''] = process.argv.slice(2);
if (task === 'sbom') writeFileSync(to, sbom(readFileSync(from, 'utf8')));
else process.stdout.write(licences(from));

function sbom(text) {
  const list = JSON.parse(text);
  const seconds = Number(process.env.SOURCE_DATE_EPOCH);
  list.metadata.timestamp = new Date(seconds * 1000).toISOString();
  delete list.serialNumber;
  // A number of its own, made of what it lists, in the form of a UUID of version 8.
  const sum = createHash('sha256').update(JSON.stringify(list)).digest('hex');
  const parts = [
    sum.slice(0, 8),
    sum.slice(8, 12),
    `8${sum.slice(13, 16)}`,
    `8${sum.slice(17, 20)}`,
    sum.slice(20, 32),
  ];
  return `${JSON.stringify({ ...list, serialNumber: `urn:uuid:${parts.join('-')}` }, null, 2)}\n`;
}

function licences(folder) {
  const manifests = readdirSync(join(folder, 'node_modules'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(^|\/)package\.json$/.test(name) && isPackage(dirname(name)))
    .map((name) => JSON.parse(readFileSync(join(folder, 'node_modules', name), 'utf8')));
  const lines = manifests.map(({ name, version, license }) => `${name} ${version}: ${license ?? 'see its folder'}`);
  return `${[...new Set(lines)].sort().join('\n')}\n`;
}

/** Not a folder inside one, as `dist/esm`, that has a manifest of its own. */
function isPackage(path) {
  return /^(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/@]+$/.test(path);
}
