/** Finds a fragment of code however it is laid out: by its words and signs, whatever white space is between them. */

/** A word, or a sign. */
const token = /[A-Za-z0-9_$#]+|\S/g;
const word = /^[A-Za-z0-9_$#]+$/;
const closing = /^[)\]}]$/;

/** Of all places. A comma before a closing bracket, which a formatter sets at the end of a line, may be there or not. */
export function fragmentPattern(fragment: string): RegExp {
  const tokens = fragment.match(token) ?? [];
  let source = '';
  let before = '';
  for (const each of tokens) {
    if (word.test(before) && word.test(each)) source += '\\s+';
    else if (before !== '') source += closing.test(each) && before !== ',' ? '\\s*,?\\s*' : '\\s*';
    source += each.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    before = each;
  }
  // A word is not part of a longer one.
  const [first = '', last = ''] = [tokens[0], tokens.at(-1)];
  return new RegExp(
    `${word.test(first) ? '(?<![A-Za-z0-9_$#])' : ''}${source}${word.test(last) ? '(?![A-Za-z0-9_$])' : ''}`,
    'g',
  );
}
