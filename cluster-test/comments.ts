/** The comments of a source file, for the house rules: found without a parser, by skipping over texts. */

const token =
  /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|(?:\/\/[^\n]*(?:\n\s*(?=\/\/))?)+/g;

/** The prose of each comment on one line, without what marks it as a comment. Line comments that follow one another are one. */
export function comments(source: string): readonly string[] {
  return [...source.matchAll(token)]
    .map(([text]) => text)
    .filter((text) => text.startsWith('/'))
    .map((text) =>
      text
        .replace(/^\/\*+|\*+\/$/g, '')
        .replace(/^\s*(?:\*(?!\*)|\/\/+)/gm, '')
        .replace(/\s+/g, ' ')
        .trim(),
    );
}
