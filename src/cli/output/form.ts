/** The forms in which commands print: for people a table, for programs JSON and what is made of it. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Json } from '#api/proto-json.js';
import { usage } from '#cli/failure.js';
import { givenOption } from '#cli/given-option.js';
import { JsonPathError, parseTemplate, render, type Template } from '#cli/output/json-path.js';
import { yamlText } from '#cli/output/yaml-text.js';
import { keepTabs, type Terminal } from '#cli/terminal.js';
import { jsonText } from '#text/printable-text.js';

export type Form =
  | { readonly kind: 'table' | 'wide' | 'json' | 'yaml' | 'name' }
  | { readonly kind: 'jsonpath'; readonly template: Template };

type Kind = Form['kind'];

/** Of a command that prints one thing. */
export const formsOfOne: readonly Kind[] = ['table', 'json', 'yaml', 'jsonpath'];
/** Of a command that prints a list. */
export const formsOfList: readonly Kind[] = ['table', 'wide', 'json', 'yaml', 'name', 'jsonpath'];

/** `-o`, without a default of commander's, which would hide what is said before the command's name. */
export class OutputOption extends Option {
  readonly forms: readonly Kind[];

  /** @param json what the command prints as JSON */
  constructor(forms: readonly Kind[], json: string) {
    super('-o, --output <FORM>', `${listedForms(forms)} (default: ${forms[0]}); JSON is ${json}`);
    this.forms = forms;
    this.argParser((text) => parseForm(text, forms));
  }

  /** `table, json or yaml` */
  get formsListed(): string {
    return listedForms(this.forms);
  }
}

function listedForms(forms: readonly Kind[]): string {
  const names = forms.map((form) => (form === 'jsonpath' ? 'jsonpath=TEMPLATE' : form));
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}`;
}

function parseForm(text: string, forms: readonly Kind[]): Form {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  const kind = forms.find((form) => form === name);
  if (kind === undefined || (kind !== 'jsonpath' && at >= 0)) {
    throw new InvalidArgumentError(`${listedForms(forms)} is allowed.`);
  }
  return kind === 'jsonpath' ? { kind, template: templateOf(text.slice(at < 0 ? text.length : at + 1)) } : { kind };
}

function templateOf(text: string): Template {
  try {
    return parseTemplate(text);
  } catch (error) {
    if (error instanceof JsonPathError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}

/** The form of output that was asked for, else the first of the command's. @throws Failure when it has no such form */
export function formOf(command: Command): Form {
  const given = givenOption(command, 'output');
  const own = command.options.find((each) => each instanceof OutputOption);
  const [first = 'table'] = own?.forms ?? [];
  const form: Form = isForm(given) ? given : first === 'jsonpath' ? { kind: 'table' } : { kind: first };
  if (own !== undefined && !own.forms.includes(form.kind)) {
    throw usage(`-o ${form.kind}: this command prints ${own.formsListed}`);
  }
  return form;
}

function isForm(value: unknown): value is Form {
  return typeof value === 'object' && value !== null && 'kind' in value;
}

/** Whether a person reads it: then it may have remarks around it. */
export function forPeople({ kind }: Form): boolean {
  return kind === 'table' || kind === 'wide';
}

/** A value of ours as JSON has it. */
export function plainJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value));
}

/** Writes one value in a form for programs. */
export function writeValue(form: Form, value: Json, terminal: Terminal): void {
  if (form.kind === 'jsonpath') terminal.write(line(keepTabs(render(form.template, value))));
  else if (form.kind === 'yaml') terminal.write(yamlText(value));
  else terminal.write(`${jsonText(value, 2)}\n`);
}

/** Writes one of many values that come over time: a line of JSON, or a document of YAML. */
export function writeNext(form: Form, value: Json, terminal: Terminal): void {
  if (form.kind === 'yaml') terminal.write(`---\n${yamlText(value)}`);
  else if (form.kind === 'json') terminal.write(`${jsonText(value)}\n`);
  else writeValue(form, value, terminal);
}

/** What a template makes ends in a line feed, that a shell's prompt begins a line. */
function line(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
