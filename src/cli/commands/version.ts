/** `sublet version`: the version of this program and what it runs on. */
import { type Define, examples } from '#cli/command-kit.js';
import { version } from '#cli/version.js';

export const define: Define = (command, terminal) => {
  command.description('The version of this program, and what it runs on.');
  examples(command, ['sublet version', 'this program'], ['sublet status', 'the version of each master, and how it is']);
  command.action(() => {
    terminal.write(`sublet ${version} (Node.js ${process.versions.node}, ${process.platform} ${process.arch})\n`);
  });
};
