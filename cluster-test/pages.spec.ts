/** What the pages name is there: links and headings, files, metrics, scripts, and the commands that they show. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { CommanderError } from 'commander';
import { fill, makeProgram } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { anchorOf } from '#site/anchors.js';
import { pagesOfRepository } from '#site/repository.js';
import { sections } from '#site/sections.js';

type Page = { readonly name: string; readonly text: string };

const pages: readonly Page[] = pagesOfRepository().map(({ path, text }) => ({ name: path, text }));

const fence = /^ *```[\s\S]*?^ *```$/gm;
/** The page without its blocks of code. */
const prose = (text: string): string => text.replace(fence, '');
const spans = (text: string): readonly string[] => [...prose(text).matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);

function anchors(text: string): ReadonlySet<string> {
  const headings = [...prose(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(headings.map(anchorOf));
}

function brokenLinks({ name, text }: Page): readonly string[] {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? name : normalize(join(dirname(name), path));
      return !existsSync(file) || (anchor !== undefined && !anchors(readFileSync(file, 'utf8')).has(anchor));
    });
}

/** Rows of a table whose first cell is a folder name files of that folder. */
function filesOfRows(text: string): readonly string[] {
  return [...text.matchAll(/^\| `((?:src|cluster-test)\/[\w/-]*)` \|(.*)$/gm)].flatMap(([, folder = '', cells = '']) =>
    spans(cells)
      .filter((span) => /^[\w-]+\.ts$/.test(span))
      .map((file) => join(folder, file)),
  );
}

function missingFiles({ text }: Page): readonly string[] {
  const named = spans(text).filter((span) => /^(src|cluster-test|docs|deploy|proto)\/[\w./-]*$/.test(span));
  return [...named, ...filesOfRows(text)].filter((file) => !existsSync(file));
}

/** Of prose (docs/style.md). */
const columnsMax = 100;
/** Its entries are written beside each other by many. */
const notWrapped = 'CHANGELOG.md';

/** Lines of prose that are too wide. Tables, code, and what is made from the program are as they are. */
function wideLines({ name, text }: Page): readonly string[] {
  if (name === notWrapped) return [];
  return prose(text.replace(/<!-- (?!end)[\s\S]*?<!-- end -->/g, ''))
    .split('\n')
    .filter((line) => line.length > columnsMax && !line.startsWith('|'));
}

/** Without what a shell does with it, and what stands for the rest of it. */
function words(line: string): readonly string[] {
  const [command = ''] = line.split(/ [|#&>]| …/);
  return command.trim().split(/\s+/).slice(1);
}

/** What is wrong with a command line, its work aside; undefined: nothing. `inPart`: it may lack arguments. */
async function complaint(args: readonly string[], inPart: boolean): Promise<string | undefined> {
  const parsed = new Error('parsed');
  const program = makeProgram(new RecordedTerminal(100)).hook('preAction', (_, command) => {
    // What a command with others below it does not know it takes for an argument, and then says so.
    if (command.args.length > command.registeredArguments.length && !command.registeredArguments.at(-1)?.variadic) {
      command.error(`no command ${command.args[0]}`);
    }
    throw parsed;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return undefined;
  } catch (error) {
    if (error === parsed) return undefined;
    if (!(error instanceof CommanderError)) throw error;
    const lacks = ['missingArgument', 'optionMissingArgument', 'missingMandatoryOptionValue', 'help'];
    if (error.exitCode === 0 || (inPart && lacks.includes(error.code.replace('commander.', '')))) return undefined;
    return `sublet ${args.join(' ')}: ${error.message}`;
  }
}

const called = /^ *(?:m[0-9])?(?:\$ )?(?:npm run -s )?(?:.*&& )?(sublet(?: .*|$))/;

/** Lines of blocks that call the program, those that a backslash continues put together. */
function shown({ text }: Page): readonly string[] {
  // What is made from the program shows its usage; its examples are looked at with the program.
  const written = text.replace(/<!-- commands -->[\s\S]*<!-- end -->/, '');
  return [...written.matchAll(fence)]
    .flatMap(([block]) => block.replace(/\\\n\s*/g, '').split('\n'))
    .flatMap((line) => called.exec(line)?.[1] ?? []);
}

async function helpExamples(): Promise<readonly string[]> {
  const terminal = new RecordedTerminal(100);
  const program = makeProgram(terminal);
  for (const command of program.commands) await fill(command, terminal);
  const all = [program, ...program.commands.flatMap((command) => [command, ...command.commands])];
  let help = '';
  for (const command of all) command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return [...help.matchAll(/^ {2}\$ (sublet.*)$/gm)].map(([, line = '']) => line);
}

async function complaints(lines: readonly string[], inPart = false): Promise<readonly string[]> {
  const found = await Promise.all(lines.map((line) => complaint(words(line), inPart)));
  return found.filter((one) => one !== undefined);
}

/** The name on npm is another's: npm would fetch and run that package wherever this one is not at hand. */
const strangers =
  /\bnpx (?:-\S+ )*sublet\b|\bnpm (?:i|install|exec|add|x)\b(?: -\S+| --prefix \S+)* sublet(?![\w.*/-])/g;

describe('the pages', () => {
  const metrics = new Set(
    [
      'src/master/process/metrics.ts',
      'src/agent/report/agent-metrics.ts',
      'src/tls/certificate/certificate-metrics.ts',
    ].flatMap((file) => readFileSync(file, 'utf8').match(/sublet_[a-z_]+/g) ?? []),
  );
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));

  for (const page of pages) {
    it(`name what there is: ${page.name}`, async () => {
      assert.deepEqual(brokenLinks(page), [], 'links');
      assert.deepEqual(missingFiles(page), [], 'files');
      assert.deepEqual(wideLines(page), [], `prose wider than ${columnsMax} columns`);
      assert.deepEqual(page.text.match(strangers) ?? [], [], 'commands that a package of others could answer');
      const named = page.text.match(/\bsublet_[a-z]+_[a-z_]+/g) ?? [];
      assert.deepEqual(
        named.filter((name) => !metrics.has(name)),
        [],
        'metrics',
      );
      const run = [...page.text.matchAll(/npm run (?:-s )?([a-z]+)/g)].map(([, script = '']) => script);
      assert.deepEqual(
        run.filter((script) => scripts[script] === undefined),
        [],
        'scripts',
      );
      assert.deepEqual(await complaints(shown(page)), [], 'commands');
      const mentioned = spans(page.text).filter((span) => /^sublet [a-z]/.test(span));
      assert.deepEqual(await complaints(mentioned, true), [], 'commands in the text');
    });
  }

  it('are all in the index of docs/README.md', () => {
    const index = readFileSync('docs/README.md', 'utf8');
    const names = pages.map(({ name }) => name).filter((name) => /^docs\/(?!README|decisions\/)/.test(name));
    assert.deepEqual(
      names.filter((name) => !index.includes(`(${name.slice('docs/'.length)})`)),
      [],
    );
  });

  it('have a place on the site, in one section each of deploy/site/sections.ts', () => {
    const placed = sections.flatMap((section) => section.pages);
    assert.deepEqual([...placed].sort(), pages.map(({ name }) => name).sort());
  });

  it('show enough commands for this to mean something', () => {
    assert.ok(pages.flatMap(shown).length > 20, String(pages.flatMap(shown).length));
  });
});

describe('the help', () => {
  it('has examples that can be called as they stand', async () => {
    const lines = await helpExamples();
    assert.ok(lines.length > 60, String(lines.length));
    assert.deepEqual(await complaints(lines), []);
  });
});
