/** A YAML 1.2 document with the line of every value, so that it can be read as a JSON file is. */
import { isNode, LineCounter, parseDocument } from 'yaml';
import { type JsonText, JsonTextError } from '#config/schema/json-text.js';

/**
 * Reads one document; JSON is YAML, too. A key that stands twice, an unknown tag and a second document are errors.
 * @throws JsonTextError
 */
export function parseYamlText(text: string): JsonText {
  const lines = new LineCounter();
  const document = parseDocument(text, { version: '1.2', lineCounter: lines, prettyErrors: false });
  const [problem] = [...document.errors, ...document.warnings];
  const placed = (message: string, offset: number): JsonTextError => {
    const { line, col } = lines.linePos(offset);
    return new JsonTextError(message, Math.max(1, line), Math.max(1, col));
  };
  if (problem !== undefined) throw placed(shortened(problem.message.split('\n')[0] ?? ''), problem.pos[0]);
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
