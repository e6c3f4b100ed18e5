/**
 * Text in lines of a given room: broken between words, and a word that is longer than a line within it, at a sign
 * that names and addresses are built with, if there is one in reach. Joined again, the words are whole: nothing is
 * added or left out.
 */

/** At least one line; none is longer than `room`, which is at least 1. */
export function fold(text: string, room: number): readonly string[] {
  // What fits stays as it is, also blanks that stand together.
  if (text.length <= room) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length <= room) {
      line += ` ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    const parts = broken(word, room);
    lines.push(...parts.slice(0, -1));
    line = parts.at(-1) ?? '';
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line];
}

export function longestWord(text: string): number {
  return Math.max(...text.split(' ').map(({ length }) => length));
}

function broken(word: string, room: number): readonly string[] {
  const parts: string[] = [];
  let rest = word;
  for (const most = Math.max(1, room); rest.length > most; ) {
    const at = seam(rest, most);
    parts.push(rest.slice(0, at));
    rest = rest.slice(at);
  }
  return [...parts, rest];
}

/** Where to break: between a user and a host, or at the last seam that fits, unless that leaves most of the line empty. */
function seam(word: string, room: number): number {
  const host = word.lastIndexOf('@', room - 1) + 1;
  if (host * 2 >= room) return host;
  for (let at = room; at * 2 >= room; at--) {
    const before = word[at - 1] ?? '';
    // The two colons of an IPv6 address stay together, and the slash stays with the prefix.
    if (word[at] === '/' || (/[.:,=-]/.test(before) && !(before === ':' && word[at] === ':'))) return at;
  }
  return room;
}
