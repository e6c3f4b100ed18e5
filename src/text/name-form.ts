/** The forms of the names that operators and agents choose: one for each kind of name, with its text for errors. */

export type NameForm = {
  readonly pattern: RegExp;
  readonly lengthMax: number;
  /** `1 to 63 characters of [a-z0-9.-]` */
  readonly allowed: string;
};

export const memberNameForm = form('a-z0-9.-', 63);
export const clusterIdForm = form('A-Za-z0-9._-', 63);
export const agentIdForm = form('A-Za-z0-9._:-', 253);
/** What an agent says that its host is called. Shown on terminals and in logs, where a control character could do harm. */
export const hostnameForm: NameForm = {
  pattern: /^[\x21-\x7e]{0,253}$/,
  lengthMax: 253,
  allowed: 'printable ASCII without spaces',
};

function form(characters: string, lengthMax: number): NameForm {
  const pattern = new RegExp(`^[${characters}]{1,${lengthMax}}$`);
  return { pattern, lengthMax, allowed: `1 to ${lengthMax} characters of [${characters}]` };
}
