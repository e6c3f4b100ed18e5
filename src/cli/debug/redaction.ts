/** Takes secrets out of texts that leave the machine. */

export type Redacted = { readonly text: string /** How many secrets were in it. */; readonly count: number };

const leftOut = '[left out]';

type Rule = readonly [pattern: RegExp, replacement: string];

const rules: readonly Rule[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, leftOut],
  [/\bAGE-SECRET-KEY-[0-9A-Z]+/g, `AGE-SECRET-KEY-${leftOut}`],
  // A token to join with: its last part is the secret.
  [/\bsj1(?:\.[\w-]+){1,3}/g, `sj1.${leftOut}`],
  [/\b(Bearer|Basic) +[\w.~+/=-]{8,}/g, `$1 ${leftOut}`],
  // User and password of an address.
  [/(\w:\/\/)[^\s/@]+@/g, `$1${leftOut}@`],
  // A value in JSON, in a flag or in an environment whose name says what it is.
  [/("[\w.-]*(?:secret|token|password|passwd|credential)[\w.-]*"\s*:\s*)"(?:[^"\\]|\\.)*"/gi, `$1"${leftOut}"`],
  [/(--?[\w-]*(?:secret|token|password|passwd|credential)[\w-]*[= ])[^\s"']+/gi, `$1${leftOut}`],
  [/(\b\w*(?:SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL)\w*=)[^\s"']+/g, `$1${leftOut}`],
];

export function redacted(text: string): Redacted {
  let count = 0;
  const out = rules.reduce((all, [pattern, replacement]) => {
    const found = all.match(pattern);
    count += found?.length ?? 0;
    return found === null ? all : all.replace(pattern, replacement);
  }, text);
  return { text: out, count };
}
