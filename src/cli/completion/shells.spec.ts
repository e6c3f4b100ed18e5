/** The completion scripts in shells that run on a terminal: keys are typed, and what is on the screen is read. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { operatorService } from '#api/services.js';
import { type Shell, scripts } from '#cli/completion/scripts.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { subletMain } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { command, runsWith } from '#cluster-test/requirement.js';

const boundMs = 60_000;
const pressAgainMs = 3_000;

const starts: Readonly<Record<Shell, (folder: string) => readonly string[]>> = {
  bash: (folder) => ['bash', '--noprofile', '--rcfile', join(folder, 'bash')],
  zsh: () => ['zsh', '-i'],
  fish: (folder) => ['fish', '--no-config', '--init-command', `source ${join(folder, 'fish')}`],
};

for (const [shell, start] of Object.entries(starts)) {
  describe(`completion in ${shell}`, function () {
    this.timeout(3 * boundMs);
    const folder = mkdtempSync(join(tmpdir(), 'sublet-completion-'));
    let master: CannedMaster;
    let process_: ChildProcess;
    let screen = '';

    before(async function () {
      runsWith(this, command(shell), command('script'));
      master = await new CannedMaster()
        .on(operatorService.listAgents, () => ({
          agents: ['host-1', 'host-2', 'web:7'].map((agentId) => ({ agentId, nodeIp: '10.0.0.1' })),
        }))
        .listen();
      const program = join(folder, 'sublet');
      writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${subletMain}' "$@"\n`);
      chmodSync(program, 0o755);
      mkdirSync(join(folder, 'plans'));
      writeFileSync(join(folder, 'plans', 'only.yaml'), '');
      writeFileSync(join(folder, 'bash'), `PS1='> '\n${scripts.bash}`);
      writeFileSync(
        join(folder, '.zshrc'),
        `PS1='> '\nunsetopt ZLE_RPROMPT_INDENT\nautoload -U compinit && compinit -u -D\n${scripts.zsh}`,
      );
      writeFileSync(
        join(folder, 'fish'),
        `function fish_prompt; echo '> '; end\nset -g fish_greeting\n${scripts.fish}`,
      );
      const line = start(folder)
        .map((word) => `'${word}'`)
        .join(' ');
      process_ = spawn('script', ['-qec', `stty cols 120 rows 40; exec ${line}`, '/dev/null'], {
        cwd: folder,
        env: {
          HOME: folder,
          ZDOTDIR: folder,
          TERM: 'dumb',
          LANG: 'C.UTF-8',
          SUBLET_MASTER: master.address,
          PATH: `${folder}:${process.env.PATH}`,
        },
      });
      process_.stdout?.on('data', (bytes: Buffer) => (screen += bytes.toString()));
      await until(`${shell} prompts`, boundMs, () => holds(/> /.test(screen)));
    });
    after(async () => {
      process_?.kill('SIGKILL');
      await master?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    /**
     * Types keys, and waits until what comes of them is on the screen. What masters know is put in when it comes within 300 ms,
     * which a busy machine does not always do: the last key is pressed again then, as a person would.
     */
    async function typed(keys: string, wanted: RegExp): Promise<void> {
      screen = '';
      process_.stdin?.write(keys);
      let pressedAt = performance.now();
      await until(`${wanted} is on the screen of ${shell}`, boundMs, () => {
        if (wanted.test(plain(screen))) return true;
        if (performance.now() - pressedAt > pressAgainMs) {
          pressedAt = performance.now();
          process_.stdin?.write(keys.endsWith('\t') ? '\t' : keys);
        }
        throw new Error(JSON.stringify(plain(screen)));
      });
      // Ctrl-U: the next line is a fresh one.
      process_.stdin?.write('\u0015');
    }

    it('puts in a command, an option, and the id of an agent', async () => {
      await typed('sublet overlay dis\t', /sublet overlay disable /);
      await typed('sublet release --for\t', /sublet release --force/);
      await typed('sublet release ho\t', /sublet release host-/);
      await typed('sublet release web\t', /sublet release web\\?:7/);
      await typed('sublet history --agent=we\t', /sublet history --agent=web\\?:7/);
    });

    it('shows what there is to choose from', async () => {
      // On a terminal without a cursor to move, fish shows no list; it prints one when it is asked to.
      const keys = shell === 'fish' ? 'complete -C "sublet release host-"\r' : 'sublet release host-\t\t';
      await typed(keys, /host-1[\s\S]*host-2/);
    });

    it('puts in the path of a file', async () => {
      await typed('sublet apply -f plans/on\t', /sublet apply -f plans\/only\.yaml/);
    });
  });
}

/** Without the sequences that move the cursor. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they begin a terminal's sequences
  return text.replaceAll(/\u001b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>]|\][^\u0007]*\u0007)|\u0007|\r/g, '');
}
