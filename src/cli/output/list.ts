/** Lists: how each form prints one, in what order, and with which lines around it. */

import type { MessageType, Method } from '#api/method.js';
import { jsonFields, jsonOf, responseJson } from '#api/proto-json.js';
import { usage } from '#cli/failure.js';
import { type Form, forPeople, writeValue } from '#cli/output/form.js';
import { type JsonPath, JsonPathError, parsePath, select } from '#cli/output/json-path.js';
import type { Terminal } from '#cli/terminal.js';
import { printable } from '#text/printable-text.js';

/** How a table is to look. */
export type TableShape = {
  /** With all columns, and each row in one line. */
  readonly wide: boolean;
  readonly titles: boolean;
  /** With totals and remarks around the rows. */
  readonly remarks: boolean;
  /** Of a list that is printed in parts: the columns' widths so far. */
  readonly widths?: number[];
};

/** A list in a response of the masters. */
export type List<Response, Item> = {
  /** One item in words: "an agent". */
  readonly one: string;
  /** Full name and class of an item's message. */
  readonly type: string;
  readonly message: MessageType<Item, Item>;
  items(response: Response): readonly Item[];
  /** The same response with other items. */
  replaced(response: Response, items: Item[]): Response;
  /** What `-o name` prints of an item: what other commands take for it. Absent: items have no names. */
  readonly name?: (item: Item) => string;
  /** What of an item is watched: a change of anything else is not shown. Absent: the list is not watched. */
  readonly watched?: (item: Item) => unknown;
  table(response: Response, terminal: Terminal, shape: TableShape): string;
};

export type ListOptions = {
  readonly sortBy?: string;
  readonly headers?: boolean;
  readonly watch?: true;
  /** Ms between two looks. */
  readonly every?: number;
};

/** Prints a list in the form that was asked for. @throws Failure for a `--sort-by` that names no field */
export function printList<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response, Item>(
  { output, terminal }: { readonly output: Form; readonly terminal: Terminal },
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  response: Response,
  list: List<Response, Item>,
  options: ListOptions,
): void {
  const sorted = inOrder(list, response, options);
  const { headers = true } = options;
  if (output.kind === 'name') writeNames(list, sorted, terminal);
  else if (forPeople(output)) writeTable(list, sorted, output, terminal, { titles: headers, remarks: headers });
  else writeValue(output, responseJson(method, sorted), terminal);
}

/** The response with its items in the order that was asked for. @throws Failure */
export function inOrder<Response, Item>(
  list: List<Response, Item>,
  response: Response,
  { sortBy }: ListOptions,
): Response {
  return sortBy === undefined ? response : list.replaced(response, ordered(list, list.items(response), sortBy));
}

export function writeNames<Response, Item>(list: List<Response, Item>, response: Response, terminal: Terminal): void {
  const { name } = list;
  for (const item of list.items(response)) terminal.write(`${printable(name?.(item) ?? '')}\n`);
}

export function writeTable<Response, Item>(
  list: List<Response, Item>,
  response: Response,
  { kind }: Form,
  terminal: Terminal,
  shape: Omit<TableShape, 'wide'>,
): void {
  const wide = kind === 'wide';
  terminal.write(list.table(response, wide ? unbounded(terminal) : terminal, { ...shape, wide }));
}

/** The terminal as a table sees it that is never narrowed. */
function unbounded(terminal: Terminal): Terminal {
  return {
    columns: undefined,
    interactive: terminal.interactive,
    write: (text) => terminal.write(text),
    note: (text) => terminal.note(text),
    ask: (question) => terminal.ask(question),
    paint: (style, text) => terminal.paint(style, text),
    paintNote: (style, text) => terminal.paintNote(style, text),
    now: () => terminal.now(),
    pause: (ms) => terminal.pause(ms),
    clear: () => terminal.clear(),
  };
}

/** Numbers within texts are compared as numbers, so that `agent-2` comes before `agent-10`. */
const collator = new Intl.Collator('en', { numeric: true });

/** By the first value that the path leads to. Items without one come first: canonical JSON leaves default values out. */
function ordered<Response, Item>(list: List<Response, Item>, items: readonly Item[], text: string): Item[] {
  const path = sortPath(list, text);
  const keyed = items.map((item) => {
    const [value] = select(path, jsonOf(list.type, list.message, item));
    return { item, key: value === undefined || typeof value === 'object' ? '' : String(value) };
  });
  return keyed.toSorted((a, b) => collator.compare(a.key, b.key)).map(({ item }) => item);
}

/** @throws Failure that names the fields that there are */
function sortPath<Response, Item>({ type, one }: List<Response, Item>, text: string): JsonPath {
  const path = pathOf(text);
  let fields = jsonFields(type);
  let of = one;
  for (const step of path) {
    if (step.kind !== 'field') continue;
    if (!fields.has(step.name)) {
      const names = [...fields.keys()].join(', ');
      throw usage(`--sort-by: ${of} has no field "${step.name}"${names === '' ? '' : `: there is ${names}`}`);
    }
    const inner = fields.get(step.name);
    fields = inner === undefined ? new Map() : jsonFields(inner);
    of = step.name;
  }
  return path;
}

function pathOf(text: string): JsonPath {
  try {
    return parsePath(text);
  } catch (error) {
    if (error instanceof JsonPathError) throw usage(`--sort-by: "${text}": ${error.message}`);
    throw error;
  }
}
