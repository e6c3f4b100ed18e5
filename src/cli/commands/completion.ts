/** `sublet completion SHELL`: completion of command lines. */
import { Argument } from 'commander';
import { type Define, examples } from '#cli/command-kit.js';
import { type Shell, scripts, shells } from '#cli/completion/scripts.js';
import { usage } from '#cli/failure.js';

export const define: Define = (command, terminal) => {
  command
    .description(
      'Prints a script that completes commands, options, and ids of agents, overlays and masters in a shell. The ids are asked of the masters that the command line or the environment names, for 300 ms at most.',
    )
    .addArgument(new Argument('[SHELL]', 'which shell').choices(shells));
  examples(
    command,
    ['source <(sublet completion bash)', 'in ~/.bashrc'],
    ['source <(sublet completion zsh)', 'in ~/.zshrc, after compinit'],
    ['sublet completion fish | source', 'in ~/.config/fish/config.fish'],
  );
  command.action((shell: Shell | undefined) => {
    if (shell === undefined) {
      throw usage(`SHELL: one of ${shells.join(', ')} is needed`, 'Like: source <(sublet completion bash)');
    }
    terminal.write(scripts[shell]);
  });
};
