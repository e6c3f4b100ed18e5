/** What the programs that developers run answer to flags that they do not have: what is wrong, and what there is. */

/**
 * Runs a program that reads its flags with `parseArgs`. Asked for help it is not run, and its usage is printed; a flag that
 * can't be taken ends it with 2 and the usage. Whatever else it throws is thrown.
 */
export async function withUsage(
  usage: string,
  args: readonly string[],
  program: () => Promise<void> | void,
): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return;
  }
  try {
    await program();
  } catch (error) {
    if (!(error instanceof TypeError && isAboutFlags(error))) throw error;
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
  }
}

function isAboutFlags(error: TypeError): boolean {
  return 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
}
