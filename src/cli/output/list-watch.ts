/**
 * `--watch` of a list: the list is asked for again and again, and what is new, changed or gone is printed. Presence and
 * the masters' health are accounts of the leader, which no stream of the plan has.
 */
import { NoMasterError } from '#api/master-client.js';
import type { Method } from '#api/method.js';
import { type Json, jsonOf } from '#api/proto-json.js';
import { usage } from '#cli/failure.js';
import type { Operator } from '#cli/operator/operator.js';
import { forPeople, writeNext } from '#cli/output/form.js';
import { inOrder, type List, type ListOptions, printList, writeNames, writeTable } from '#cli/output/list.js';
import { wrap } from '#cli/terminal.js';
import { printable } from '#text/printable-text.js';

const everyDefault = 2_000;
/** Looks in a row that no master answers. */
const failuresMax = 20;

/** Prints a list once or, with `--watch`, until no master answers any more. `look` asks for it. */
export async function showList<
  Request,
  RequestDecoded extends Request,
  Response,
  ResponseDecoded extends Response,
  Item,
>(
  operator: Operator,
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  look: () => Promise<Response>,
  list: List<Response, Item>,
  options: ListOptions,
): Promise<void> {
  if (options.every !== undefined && options.watch !== true) throw usage('--every goes with --watch');
  if (options.watch === true) await new ListWatch(operator, list, options).run(look);
  else printList(operator, method, await look(), list, options);
}

/** The names are those of Kubernetes' watch events. */
type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

class ListWatch<Response, Item> {
  readonly #operator: Operator;
  readonly #list: List<Response, Item>;
  readonly #options: ListOptions;
  /** Of each item that was printed: what of it is watched, as text. */
  #known = new Map<string, { readonly item: Item; readonly text: string }>();
  readonly #widths: number[] = [];
  #begun = false;
  #titled = false;

  constructor(operator: Operator, list: List<Response, Item>, options: ListOptions) {
    this.#operator = operator;
    this.#list = list;
    this.#options = options;
  }

  /** Never resolves. @throws NoMasterError when no master has answered for long */
  async run(look: () => Promise<Response>): Promise<never> {
    const { terminal } = this.#operator;
    const { every = everyDefault } = this.#options;
    for (let failures = 0; ; ) {
      try {
        this.#take(await look());
        failures = 0;
      } catch (error) {
        failures++;
        if (!(error instanceof NoMasterError) || !this.#begun || failures >= failuresMax) throw error;
        if (failures === 1) terminal.note(`${wrap('No master answers; asking again…', terminal)}\n`);
      }
      await terminal.pause(every);
    }
  }

  #take(response: Response): void {
    const now = new Map(
      this.#list
        .items(response)
        .map((item) => [this.#nameOf(item), { item, text: JSON.stringify(this.#list.watched?.(item)) }]),
    );
    const added: Item[] = [];
    const modified: Item[] = [];
    for (const [name, { item, text }] of now) {
      const before = this.#known.get(name);
      if (before === undefined) added.push(item);
      else if (before.text !== text) modified.push(item);
    }
    const deleted = [...this.#known].filter(([name]) => !now.has(name)).map(([, { item }]) => item);
    this.#known = now;
    const changes: readonly (readonly [ChangeType, Item[]])[] = [
      ['ADDED', added],
      ['MODIFIED', modified],
      ['DELETED', deleted],
    ];
    for (const [type, items] of changes) {
      if (items.length > 0) this.#print(type, inOrder(this.#list, this.#list.replaced(response, items), this.#options));
    }
    this.#begun = true;
  }

  #print(type: ChangeType, response: Response): void {
    const { output, terminal } = this.#operator;
    if (output.kind === 'name') {
      writeNames(this.#list, response, terminal);
    } else if (!forPeople(output)) {
      for (const item of this.#list.items(response)) {
        const object: Json = jsonOf(this.#list.type, this.#list.message, item);
        writeNext(output, { type, object }, terminal);
      }
    } else if (type === 'DELETED') {
      for (const item of this.#list.items(response)) terminal.write(`${printable(this.#nameOf(item))}  gone\n`);
    } else {
      const titles = !this.#titled && this.#options.headers !== false;
      this.#titled = true;
      writeTable(this.#list, response, output, terminal, { titles, remarks: false, widths: this.#widths });
    }
  }

  #nameOf(item: Item): string {
    return this.#list.name?.(item) ?? '';
  }
}
