/** JSON values as YAML 1.2. The library is loaded when it is first needed. */
import { createRequire } from 'node:module';
import type { Json } from '#api/proto-json.js';
import { escapedJson, printable } from '#text/printable-text.js';

function load(): typeof import('yaml') {
  return createRequire(import.meta.url)('yaml');
}

/** One document, with a line feed at its end. Every unprintable character is written as `\u…` within double quotes. */
export function yamlText(value: Json): string {
  const { Document, visit } = load();
  const document = new Document(value, { version: '1.2', aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string' && printable(node.value) !== node.value) node.type = 'QUOTE_DOUBLE';
    },
  });
  return escapedJson(document.toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER }));
}
