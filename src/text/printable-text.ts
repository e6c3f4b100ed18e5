/**
 * Text from another machine, made printable. A name, a refusal or an error of a peer may hold escape sequences that
 * rewrite a terminal's title, its screen or its clipboard, and marks that reverse the direction of what follows.
 */

/** C0, DEL, C1, format characters (bidirectional marks among them), line and paragraph separators. */
const unprintable = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;
const unprintableRuns = /[\p{Cc}\p{Cf}\u2028\u2029]+/gu;
const unprintableButLines = /[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/gu;

/** The longest text that a refusal or an error of another machine carries, in UTF-16 units. */
export const foreignTextMax = 1_024;

/** One line without unprintable characters: a blank stands for each run of them. */
export function printable(text: string): string {
  return text.replace(unprintableRuns, ' ');
}

/** As `printable`, cut to `foreignTextMax`: for text that another machine wrote. */
export function foreignText(text: string): string {
  const clean = printable(text);
  return clean.length <= foreignTextMax ? clean : `${clean.slice(0, foreignTextMax - 1)}…`;
}

/** Several lines without unprintable characters but the line feeds: a blank stands for each of them. */
export function printableLines(text: string): string {
  return text.replace(unprintableButLines, ' ');
}

/** JSON in which every unprintable character is written as `\u…`: the value stays whole and a terminal stays safe. */
export function jsonText(value: unknown, indent?: number): string {
  return escapedJson(JSON.stringify(value, undefined, indent) ?? 'null');
}

/** A text of JSON with its unprintable characters escaped; line feeds between its tokens stay. */
export function escapedJson(json: string): string {
  return json.replace(unprintable, (found) => (found === '\n' ? found : escaped(found)));
}

function escaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, at) => String.raw`\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');
}
