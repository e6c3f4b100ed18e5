/** A command line as a person has typed it so far, in the words that a shell would make of it. */

/**
 * The words of the text, without their quotes; the last one is the word under the cursor. Assignments before the command are
 * left out. Nothing is expanded.
 */
export function splitLine(text: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (quote !== '' && character === quote) quote = '';
    else if (character === '\\' && quote !== "'") word = (word ?? '') + (text[++at] ?? '');
    else if (quote === '' && (character === '"' || character === "'")) {
      quote = character;
      word ??= '';
    } else if (quote === '' && /\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + character;
  }
  const all = [...words, word ?? ''];
  const command = all.findIndex((each) => !/^[A-Za-z_]\w*=/.test(each));
  return all.slice(command);
}

/** What of a candidate bash puts in: it replaces what follows the last of its word breaks (`:` and `=`) in the word. */
export function afterBreak(candidate: string, word: string, breaks: string): string {
  const last = Math.max(...[...breaks].filter((each) => /[:=]/.test(each)).map((each) => word.lastIndexOf(each)), -1);
  return candidate.slice(last + 1);
}
