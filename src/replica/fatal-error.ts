import { InvariantError } from '#errors/invariant.js';
import type { MemberInfo } from '#replica/ports/membership.js';

/** The error with its way out. A store's errors and a machine's bring their own. */
export function withRemedy(error: Error, { name }: MemberInfo): Error {
  if (!(error instanceof InvariantError)) return error;
  switch (error.code) {
    case 'amnesia':
      return new InvariantError(
        'amnesia',
        `member ${name} has lost what it had acknowledged: ${error.message}. It can't vote any more. Remove it with ` +
          `\`sublet members remove ${name}\`, clear its data directory, and add it again with \`sublet members add ${name}\``,
      );
    case 'committed-conflict':
      return new InvariantError(
        'committed-conflict',
        `the log of member ${name} differs from its leader's where it is committed: ${error.message}. The majority was put ` +
          `back to an earlier state, or this member was. Keep the data directory of ${name}: it may have the only copy of what ` +
          'the others lost. docs/operations/corruption.md (When a majority went back) tells how to decide',
      );
    case 'broken':
      return error;
  }
}
