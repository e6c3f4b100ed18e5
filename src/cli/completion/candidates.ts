/** What can stand where the cursor is in a command line, from the tree of commands. */
import { type Argument, type Command, Option } from 'commander';
import { type Candidate, liveValues } from '#cli/completion/live-values.js';
import { Failure } from '#cli/failure.js';
import { contextNameForm, readContexts } from '#cli/operator/context-file.js';
import { OutputOption } from '#cli/output/form.js';

export type Completion = {
  readonly candidates: readonly Candidate[];
  /** The shell adds paths of the file system. */
  readonly paths: 'files' | 'folders' | 'none';
};

/** The commands; each is empty until it is filled. */
export type CommandTree = { readonly program: Command; fill(command: Command): Promise<void> };

/** Asks the masters for values of one kind. */
export type AskLive = (kind: (typeof liveValues)[string], command: Command) => Promise<readonly Candidate[]>;

/** @param words what follows the name of the program; the last one is under the cursor, and may be empty */
export async function complete(words: readonly string[], tree: CommandTree, askLive: AskLive): Promise<Completion> {
  const [current = ''] = words.slice(-1);
  const place = await placeOf(words.slice(0, -1), tree);
  const found = await at(place, current, askLive);
  const seen = new Set<string>();
  const candidates = found.candidates.filter(({ value }) => {
    if (!value.startsWith(current) || seen.has(value)) return false;
    seen.add(value);
    return true;
  });
  return { ...found, candidates };
}

/** How far a command line has come. */
type Place = {
  readonly command: Command;
  /** The option whose value comes next. */
  readonly option: Option | undefined;
  /** Arguments given to the command so far. */
  readonly given: number;
  /** After `--` there are no options. */
  readonly optionsEnded: boolean;
};

async function placeOf(words: readonly string[], { program, fill }: CommandTree): Promise<Place> {
  let command = program;
  let option: Option | undefined;
  let given = 0;
  let optionsEnded = false;
  for (const word of words) {
    if (option !== undefined) {
      command.setOptionValueWithSource(option.attributeName(), word, 'cli');
      option = undefined;
    } else if (word === '--') {
      optionsEnded = true;
    } else if (!optionsEnded && word.startsWith('-')) {
      const [name = '', ...value] = word.split('=');
      const found = optionOf(command, name);
      if (found === undefined || !takesValue(found)) continue;
      if (value.length === 0) option = found;
      else command.setOptionValueWithSource(found.attributeName(), value.join('='), 'cli');
    } else {
      const inner = given === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (inner === undefined) {
        given++;
        continue;
      }
      await fill(inner);
      command = inner;
    }
  }
  return { command, option, given, optionsEnded };
}

async function at(place: Place, current: string, askLive: AskLive): Promise<Completion> {
  const { command, option, given, optionsEnded } = place;
  if (option !== undefined) return valuesOf(option, command, askLive);
  const [, name, begun] = /^(--[^=]+)=(.*)$/.exec(current) ?? [];
  if (name !== undefined && begun !== undefined && !optionsEnded) {
    const found = optionOf(command, name);
    if (found === undefined) return none;
    const values = await valuesOf(found, command, askLive);
    return { ...values, candidates: values.candidates.map((each) => ({ ...each, value: `${name}=${each.value}` })) };
  }
  if (current.startsWith('-') && !optionsEnded) return { candidates: optionsOf(command), paths: 'none' };
  const { registeredArguments: all } = command;
  const argument = all[given] ?? (all.at(-1)?.variadic ? all.at(-1) : undefined);
  const values = argument === undefined ? none : await valuesOf(argument, command, askLive);
  if (given > 0) return values;
  const inner = command.createHelp().visibleCommands(command);
  const commands = inner.map((each) => ({ value: each.name(), about: each.summary() || each.description() }));
  return { ...values, candidates: [...commands, ...values.candidates] };
}

const none: Completion = { candidates: [], paths: 'none' };

function optionsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, short, description }) => {
      const value = long ?? short;
      return value === undefined ? [] : [{ value, about: description }];
    });
}

function optionOf({ options }: Command, name: string): Option | undefined {
  return options.find(({ long, short }) => long === name || short === name);
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

async function valuesOf(of: Option | Argument, command: Command, askLive: AskLive): Promise<Completion> {
  const plain = (values: readonly string[]): Completion => ({
    candidates: values.map((value) => ({ value, about: '' })),
    paths: 'none',
  });
  if (of instanceof OutputOption) return plain(of.forms.map((form) => (form === 'jsonpath' ? 'jsonpath=' : form)));
  if (of.argChoices !== undefined) return plain(of.argChoices);
  const isContext =
    of instanceof Option ? of.long === '--context' : /^context (?:use|set|remove)$/.test(pathOf(command));
  if (isContext) return plain(contextNames());
  const [, placeholder = ''] = of instanceof Option ? (/[<[]([^>\]]+)/.exec(of.flags) ?? []) : [undefined, of.name()];
  if (/^FILE/.test(placeholder)) return { candidates: [], paths: 'files' };
  if (/^DIR/.test(placeholder)) return { candidates: [], paths: 'folders' };
  const kind = liveValues[`${pathOf(command)} ${of instanceof Option ? (of.long ?? '') : of.name()}`];
  return kind === undefined ? none : { candidates: await askLive(kind, command), paths: 'none' };
}

/** None where the file can't be read: a completion says nothing. */
function contextNames(): readonly string[] {
  try {
    return Object.keys(readContexts().contexts).filter((name) => contextNameForm.test(name));
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

/** `overlay add` */
export function pathOf(command: Command): string {
  const path: string[] = [];
  for (let here = command; here.parent !== null; here = here.parent) path.unshift(here.name());
  return path.join(' ');
}
