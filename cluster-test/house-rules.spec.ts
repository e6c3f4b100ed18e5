/** The house rules of docs/architecture.md that a machine can check: which room may import which, and what pure rooms never touch. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { headersWithoutBraces } from '#cluster-test/braces.js';
import { comments } from '#cluster-test/comments.js';
import { bugs } from '#cluster-test/simulation/planted/bugs.js';
import { fragmentPattern } from '#cluster-test/simulation/planted/fragment-pattern.js';

/** Room → rooms it may import, itself aside: those that it does import. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  time: [],
  runtime: [],
  http: ['errors', 'address'],
  http2: [],
  address: [],
  age: [],
  text: [],
  files: ['errors'],
  raft: ['errors'],
  ipam: ['errors', 'text', 'address', 'proto'],
  replica: ['errors', 'time', 'text', 'raft'],
  storage: ['errors', 'text', 'files', 'raft', 'replica', 'proto'],
  transport: ['errors', 'time', 'text', 'tls', 'raft', 'replica', 'proto'],
  door: ['errors', 'address', 'replica'],
  tls: ['errors', 'address'],
  api: ['errors', 'text', 'tls', 'proto'],
  config: ['runtime', 'text', 'address', 'ipam'],
  master: [
    'errors',
    'runtime',
    'http',
    'http2',
    'text',
    'address',
    'door',
    'tls',
    'files',
    'raft',
    'ipam',
    'replica',
    'storage',
    'transport',
    'api',
    'proto',
  ],
  page: ['address'],
  host: ['errors', 'time', 'text', 'address', 'files'],
  agent: ['errors', 'time', 'tls', 'http', 'text', 'address', 'files', 'host', 'replica', 'api', 'proto'],
  cli: [
    'errors',
    'runtime',
    'age',
    'address',
    'text',
    'files',
    'ipam',
    'replica',
    'storage',
    'door',
    'tls',
    'api',
    'config',
    'master',
    'host',
    'agent',
    'proto',
  ],
};
/** Sub-room → those of its room that it may not import. What begins a room (its top) may import all of them. */
const apart: Readonly<Record<string, readonly string[]>> = {
  'raft/log': ['reads'],
  'raft/tracker': ['roles', 'reads'],
  'ipam/commands': ['changes', 'codec'],
  'ipam/space': ['codec'],
  'ipam/codec': ['changes'],
  'ipam/view': ['codec'],
  'replica/ports': ['driver', 'requests', 'fitness', 'members', 'bootstrap', 'contracts'],
  'replica/members': ['driver', 'requests', 'fitness', 'bootstrap', 'contracts'],
  'replica/bootstrap': ['driver', 'requests', 'fitness', 'members', 'contracts'],
  'replica/requests': ['driver', 'fitness', 'bootstrap', 'contracts'],
  'replica/fitness': ['driver', 'requests', 'bootstrap', 'contracts'],
  'replica/driver': ['bootstrap', 'contracts'],
  'replica/contracts': ['driver', 'requests', 'fitness', 'testing'],
  'storage/files': ['records', 'snapshots'],
  'storage/records': ['snapshots'],
  'storage/checks': ['snapshots'],
  'master/server': ['forward', 'watch', 'members', 'joining', 'integrity'],
  'master/services': ['watch', 'joining', 'integrity'],
  'master/watch': ['forward', 'leases', 'members'],
  'agent/lease': ['peers', 'report'],
  'agent/peers': ['report'],
  'agent/state': ['report'],
  'host/filter': ['apply', 'diff', 'reach'],
  'host/observe': ['reach'],
  'host/tools': ['apply', 'reach'],
  'cli/output': ['commands', 'process', 'doctor', 'debug', 'dev'],
  'cli/operator': ['commands', 'doctor', 'debug', 'dev', 'completion', 'plan-file'],
  'cli/process': ['commands', 'doctor', 'debug', 'dev'],
};
const pure = ['errors', 'time', 'address', 'text', 'raft', 'ipam'];
/**
 * Times that people read, the deadlines of calls, of which grpc-js makes a timer at once, and the validity of
 * certificates.
 */
const wallClockFiles = [
  'master/master.ts',
  'master/recovery.ts',
  'api/master-client.ts',
  'transport/grpc-peer-network.ts',
  'cli/words.ts',
  'cli/terminal.ts',
  'cli/commands/masters/snapshot.ts',
  'tls/certificate/tls-files.ts',
  'tls/certificate/authority.ts',
  'tls/certificate/certificate-reloader.ts',
  'tls/tls-gate.ts',
  'tls/connection-probe.ts',
  'page/view/texts.ts',
];
/** Words that hide the subject of a sentence (docs/style.md). */
const vagueWords = /\b(?:told|nobody|whoever|everybody)\b|^who\b|[:;] who\b/i;
/** A title of a group of tests, or of one. */
const testTitle = /\b(?:it|describe)(?:\.\w+)?\(\s*('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)/g;
/** docs/security.md has the number. */
const packagesMax = 77;
/** Files at one level that are no specs (docs/architecture.md, sub-rooms). */
const filesPerFolderMax = 15;
/** A member of a type that is called: `name(): T;` or `name: () => T;`. */
const callbackMember = /^ {2}(?:readonly )?\w+\??(?:\(|: \(+(?:\w+: [^)]*|\))[^\n]*=>)/gm;
/** What a type of `src/replica` may have of them, so that its code is read downwards. Ports that the world implements are not counted. */
const callbacksMax = 3;
const emptyNames = /(^|\/)(utils?|helpers?|common|manager|misc)(\.|\/|-)/;

type Source = { readonly name: string; readonly room: string; readonly text: string };

function sources(top = 'src'): Source[] {
  return readdirSync(top, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => ({
      name,
      room: name.includes('/') ? (name.split('/')[0] ?? '') : '',
      text: readFileSync(join(top, name), 'utf8'),
    }));
}

function titles(text: string): string[] {
  return [...text.matchAll(testTitle)].map(([, title = '']) => title.slice(1, -1));
}

function imports(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

/** The files of each cycle of imports, for each of its files once: what can be reached from it and reaches it. */
function importCycles(): string[] {
  const targets = new Map(
    sources().map(({ name, text }) => [
      name.replace(/\.tsx?$/, ''),
      imports(text)
        .filter((target) => target.startsWith('#'))
        .map((target) => target.slice(1).replace(/\.js$/, '')),
    ]),
  );
  const reached = (from: string): ReadonlySet<string> => {
    const found = new Set<string>();
    const open = [from];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      for (const target of targets.get(name) ?? []) {
        if (!found.has(target)) open.push(target);
        found.add(target);
      }
    }
    return found;
  };
  return [...targets.keys()].filter((name) => reached(name).has(name)).map((name) => `src/${name}`);
}

function repeated(words: readonly string[]): string[] {
  return [...new Set(words.filter((word, at) => words.indexOf(word) !== at))];
}

describe('house rules', () => {
  const production = sources().filter(({ name }) => !name.endsWith('.spec.ts') && !name.includes('/testing/'));

  it('has a rule for each room', () => {
    const rooms = new Set(production.map(({ room }) => room).filter((room) => room !== ''));
    assert.deepEqual(
      [...rooms].filter((room) => allowed[room] === undefined),
      [],
    );
  });

  it('imports run one way only', () => {
    const wrong = production.flatMap(({ name, room, text }) =>
      imports(text)
        .filter((target) => target.startsWith('#'))
        .map((target) => target.slice(1, target.indexOf('/')))
        .filter((target) => room !== '' && target !== room && !allowed[room]?.includes(target))
        .map((target) => `src/${name} imports #${target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('allows no import that there is not', () => {
    const unused = Object.entries(allowed).flatMap(([room, rooms]) => {
      const texts = production.filter((source) => source.room === room).map(({ text }) => text);
      const imported = new Set(texts.flatMap(imports).map((target) => target.slice(1).split('/')[0]));
      return rooms.filter((target) => !imported.has(target)).map((target) => `${room} imports no #${target}`);
    });
    assert.deepEqual(unused, []);
  });

  it('keeps sub-rooms apart', () => {
    const wrong = production.flatMap(({ name, text }) => {
      const [room = '', sub = ''] = name.split('/');
      const forbidden = (apart[`${room}/${sub}`] ?? []).map((other) => `#${room}/${other}/`);
      return imports(text)
        .filter((target) => forbidden.some((start) => target.startsWith(start)))
        .map((target) => `src/${name} imports ${target}`);
    });
    assert.deepEqual(wrong, []);
    const rooms = new Set(production.map(({ name }) => name.split('/').slice(0, 2).join('/')));
    const unknown = Object.entries(apart).flatMap(([from, others]) =>
      [from, ...others.map((other) => `${from.split('/')[0]}/${other}`)].filter(
        (place) => !rooms.has(place) && !place.endsWith('/testing'),
      ),
    );
    assert.deepEqual(unknown, [], 'a rule about a sub-room that there is not');
  });

  it('has no import cycle, types included', () => {
    assert.deepEqual(importCycles(), []);
  });

  it('makes the parts of a member of those before them, which none of them calls back', () => {
    const inReplica = production.filter(({ name }) => name.startsWith('replica/'));
    const assembly = inReplica.find(({ name }) => name === 'replica/assembly.ts');
    assert.doesNotMatch(assembly?.text ?? '=>', /=>/, 'a closure over a part that is made later');
    const wide = inReplica.flatMap(({ name, text }) =>
      [...text.matchAll(/^export type (\w+)(?:<[^=]*>)? = (?:\w+ & )?\{\n([\s\S]*?)\n\};/gm)]
        .map(([, type, body = '']) => [type, body.match(callbackMember)?.length ?? 0] as const)
        .filter(([type]) => !name.startsWith('replica/ports/') || type?.endsWith('Handler'))
        .filter(([, callbacks]) => callbacks > callbacksMax)
        .map(([type, callbacks]) => `src/${name}: ${type} has ${callbacks}`),
    );
    assert.deepEqual(wide, []);
  });

  it('names rooms, not paths', () => {
    const wrong = sources().flatMap(({ name, text }) =>
      imports(text)
        .filter((target) => target.startsWith('.'))
        .map((target) => `src/${name} imports ${target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('keeps clocks, chance, promises and I/O out of the pure rooms', () => {
    const impure =
      /\bDate\.now\b|\bnew Date\b|Math\.random|\bsetTimeout\b|\bsetInterval\b|\bprocess\.|'node:|\bawait\b|\basync\b|\bPromise\b/;
    const wrong = production
      .filter(({ room }) => pure.includes(room))
      .flatMap(({ name, text }) =>
        text
          .split('\n')
          .filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line) && impure.test(line))
          .map((line) => `src/${name}: ${line.trim()}`),
      );
    assert.deepEqual(wrong, []);
  });

  it('decides nothing by the clock on the wall, which is set and goes back', () => {
    const wrong = production
      .filter(({ name }) => !wallClockFiles.includes(name))
      .flatMap(({ name, text }) =>
        text
          .split('\n')
          .filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line) && /\bDate\.now\b|\bnew Date\b/.test(line))
          .map((line) => `src/${name}: ${line.trim()}`),
      );
    assert.deepEqual(wrong, []);
  });

  it('knows an error by its class or code, and not by its being of no class', () => {
    const wrong = production
      .filter(({ text }) => /\.constructor\s*[!=]==/.test(text))
      .map(({ name }) => `src/${name}: throw a subclass of ExpectedError (src/errors/), and look for that`);
    assert.deepEqual(wrong, []);
  });

  it('hides members by #name, constructors and what a spec has to reach aside', () => {
    const wrong = production.flatMap(({ name, text }) =>
      [...text.matchAll(/^ +private (?!constructor)(.*)$/gm)].map(([, member]) => `src/${name}: ${member}`),
    );
    assert.deepEqual(wrong, ['src/ipam/ipam.ts: readonly plan: Plan;']);
  });

  it('has braces around a statement that does not fit on the line of its if, else, for or while', () => {
    const red = [
      ['if (a)', '  b();'],
      ['  if (a) {', '    b();', '  } else', '    c();'],
      ['for await (const each of all)', '  b(each);'],
      ['while (a) // Until b.', '  b();'],
      ['} else if (', '  a &&', '  b', ')', '  c();'],
    ];
    for (const lines of red) assert.equal(headersWithoutBraces(lines.join('\n')).length, 1, lines.join('\n'));
    const green = [
      'if (a) b();',
      'else c();',
      'if (',
      '  a',
      ') {',
      '  b(',
      '    c',
      '  );',
      '} else if (b) {',
      '  c();',
      '}',
    ];
    assert.deepEqual(headersWithoutBraces(green.join('\n')), []);
    const wrong = ['src', 'cluster-test', 'proto', 'deploy'].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.[jt]sx?$/.test(name))
        .flatMap((name) =>
          headersWithoutBraces(readFileSync(join(folder, name), 'utf8')).map((found) => `${folder}/${name}:${found}`),
        ),
    );
    assert.deepEqual(wrong, []);
  });

  it('writes each property by itself, not in groups that are spread', () => {
    const wrong = [...sources(), ...sources('cluster-test')]
      .filter(({ text }) => /\.\.\.\{/.test(text))
      .map(({ name }) => name);
    assert.deepEqual(wrong, []);
  });

  it('has at most 15 files at a level', () => {
    const counts = new Map<string, number>();
    const tests = sources('cluster-test').filter(({ name }) => !name.endsWith('.spec.ts'));
    for (const { name } of [...production, ...tests.map((source) => ({ name: `cluster-test/${source.name}` }))]) {
      const folder = name.slice(0, Math.max(0, name.lastIndexOf('/')));
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    assert.deepEqual(
      [...counts].filter(([, count]) => count > filesPerFolderMax),
      [],
    );
  });

  it('gives each file a noun for a name', () => {
    assert.deepEqual(
      sources().filter(({ name }) => emptyNames.test(name)),
      [],
    );
  });

  it('gives each exported name one meaning, and each file outside of sub-rooms a name of its own', () => {
    const exported = production
      // Modules of commands are loaded by name and export one interface.
      .filter(({ name }) => !name.startsWith('cli/commands/'))
      .flatMap(({ name, text }) =>
        [...text.matchAll(/^export (?:async )?(?:type|interface|class|function\*?|const) (\w+)/gm)].map(
          ([, word = '']) => [word, name] as const,
        ),
      );
    const overloads = new Set(exported.map(([word, name]) => `${word} ${name}`));
    assert.deepEqual(repeated([...overloads].map((one) => one.split(' ')[0] ?? '')), []);
    const files = production.map(({ name }) => name.split('/')).filter((parts) => parts.length === 2);
    assert.deepEqual(repeated(files.map(([, file = '']) => file)), []);
  });

  it('names the subject in comments and in the titles of tests', () => {
    const found = [...sources(), ...sources('cluster-test')].flatMap(({ name, text }) =>
      [...comments(text).flatMap((comment) => comment.split(/(?<=[.!?]) /)), ...titles(text)]
        .filter((sentence) => vagueWords.test(sentence))
        .map((sentence) => `${name}: ${sentence}`),
    );
    assert.deepEqual(found, []);
  });

  it('refers to rules that docs/rules.md has, and to nothing outside of the repository', () => {
    const rules = new Set(
      [...readFileSync('docs/rules.md', 'utf8').matchAll(/^## Rule (\d+):/gm)].map(([, number]) => number),
    );
    const wrong = sources().flatMap(({ name, text }) => [
      ...[...text.matchAll(/\bDESIGN\b/g)].map(() => `src/${name}: DESIGN`),
      ...[...text.matchAll(/(?<!nft )\brules? (\d+)/gi)]
        .filter(([, number]) => !rules.has(number))
        .map(([reference]) => `src/${name}: ${reference}`),
    ]);
    assert.equal(rules.size, 12);
    assert.deepEqual(wrong, []);
  });

  it('leaves each planted bug of the simulator a place, which a change of the code may take from it', () => {
    const wrong = bugs.flatMap(({ name, changes }) =>
      changes
        .map(({ file, right }) => ({
          file,
          right,
          found: [...readFileSync(join('dist/src', file), 'utf8').matchAll(fragmentPattern(right))].length,
        }))
        .filter(({ found }) => found !== 1)
        .map(({ file, right, found }) => `${name}: ${file} has it ${found} times: ${right}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('packs the lock, so that an installation has what was tested', () => {
    const { scripts, files } = JSON.parse(readFileSync('package.json', 'utf8'));
    assert.ok(files.includes('npm-shrinkwrap.json'));
    assert.match(scripts.prepack, /cp package-lock\.json npm-shrinkwrap\.json$/);
    assert.equal(scripts.postpack, 'rm -f npm-shrinkwrap.json');
  });

  it('brings few packages into a process, one protobufjs, and one script that runs when they are installed', () => {
    const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages as Record<
      string,
      { readonly dev?: true; readonly hasInstallScript?: true }
    >;
    const installed = Object.entries(lock).filter(([path, { dev }]) => path !== '' && dev === undefined);
    const named = (name: string) => installed.filter(([path]) => path.endsWith(`node_modules/${name}`));
    assert.ok(installed.length <= packagesMax, `${installed.length} packages`);
    assert.deepEqual(
      installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path),
      ['node_modules/classic-level'],
    );
    assert.equal(named('protobufjs').length, 1);
  });

  it('sets up what the lock file says, and never rewrites it: an older npm drops what a newer one noted', () => {
    const { scripts, ...wanted } = JSON.parse(readFileSync('package.json', 'utf8'));
    assert.match(scripts.setup, /^npm install --no-save /);
    // What would have shown as a changed file, had npm saved it.
    const locked = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages[''];
    assert.deepEqual(
      [locked.version, locked.dependencies, locked.optionalDependencies, locked.devDependencies],
      [wanted.version, wanted.dependencies, wanted.optionalDependencies, wanted.devDependencies],
    );
  });
});
