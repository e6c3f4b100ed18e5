/** A YAML 1.2 document with the line of every value, so that it can be read as a JSON file is. */
import { type Document, isNode, isScalar, Lexer, LineCounter, parseDocument, visit } from 'yaml';
import { type JsonText, JsonTextError } from '#config/schema/json-text.js';

/**
 * Reads one document; JSON is YAML, too. A key that stands twice, an unknown tag and a second document are errors.
 * @throws JsonTextError
 */
export function parseYamlText(text: string): JsonText {
  checkNesting(text);
  const lines = new LineCounter();
  // The library compares each key with all others: that of a long map takes minutes.
  const options = { version: '1.2', lineCounter: lines, prettyErrors: false, uniqueKeys: false } as const;
  const document = parseDocument(text, options);
  const [problem] = [...document.errors, ...document.warnings];
  const placed = (message: string, offset: number): JsonTextError => {
    const { line, col } = lines.linePos(offset);
    return new JsonTextError(message, Math.max(1, line), Math.max(1, col));
  };
  if (problem !== undefined) throw placed(messageOf(problem), problem.pos[0]);
  const twice = keyTwice(document);
  if (twice !== undefined) throw placed('Map keys must be unique', twice);
  return {
    value: plain(() => document.toJS({ maxAliasCount: 100 }), placed),
    line(path) {
      for (let length = path.length; length > 0; length--) {
        const node = document.getIn(path.slice(0, length), true);
        if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
      }
      return 1;
    },
  };
}

/** As in JSON. */
const depthMax = 32;
/** What the lexer puts between the pieces of the text: that a document, a bracket or a scalar begins or ends. */
const marks: ReadonlySet<string> = new Set(['\u0002', '\u0018', '\u001f']);

/** Brackets without end take the library a second for each thousand of them. @throws JsonTextError */
function checkNesting(text: string): void {
  let depth = 0;
  let before = '';
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth -= 1;
    if (depth > depthMax) {
      const lines = before.split('\n');
      throw new JsonTextError(`nested more than ${depthMax} deep`, lines.length, (lines.at(-1)?.length ?? 0) + 1);
    }
    if (!marks.has(token)) before += token;
  }
}

/** Where a key stands that its map has already; undefined: nowhere. */
function keyTwice(document: Document): number | undefined {
  let found: number | undefined;
  visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          found = key.range?.[0] ?? 0;
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return found;
}

/** Lists within lists by hyphens are not counted: the library gives up where the stack of this process ends. */
function messageOf({ code, message }: { readonly code: string; readonly message: string }): string {
  // The library advises its callers here, not the author of the file.
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here: one is allowed';
  if (/call stack/.test(message)) return 'nested too deep';
  return shortened(message.split('\n')[0] ?? '');
}

/** The library repeats what it can't read, and of a file that is no text that is much. */
const messageMax = 120;

function shortened(message: string): string {
  return message.length <= messageMax ? message : `${message.slice(0, messageMax)}…`;
}

/** Aliases that would make a value far larger than its file are refused by the library as it resolves them. */
function plain(resolve: () => unknown, placed: (message: string, offset: number) => JsonTextError): unknown {
  try {
    return resolve();
  } catch (error) {
    if (error instanceof ReferenceError) throw placed(error.message, 0);
    throw error;
  }
}
