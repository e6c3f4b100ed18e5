/** The scripts that make a shell ask `sublet __complete`. They hold nothing of the commands, and so fit every version. */

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

const bash = String.raw`# bash completion for sublet; for this shell: source <(sublet completion bash)
_sublet() {
  local IFS=$'\n' kind=
  local -a lines
  mapfile -t lines < <("$1" __complete bash "${'$'}{COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
  if [[ ${'$'}{#lines[@]} -gt 0 && ${'$'}{lines[-1]} == :* ]]; then
    kind=${'$'}{lines[-1]}
    unset 'lines[-1]'
  fi
  COMPREPLY=("${'$'}{lines[@]}")
  case $kind in
    :files) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$2")) ;;
    :folders) compopt -o filenames; COMPREPLY+=($(compgen -d -- "$2")) ;;
  esac
  # After a value to which more belongs no blank is added.
  if [[ ${'$'}{#COMPREPLY[@]} -eq 1 && ${'$'}{COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -F _sublet sublet
`;

const zsh = `#compdef sublet
# zsh completion for sublet; for this shell: source <(sublet completion zsh)
_sublet() {
  local -a lines
  local kind=
  lines=("${'$'}{(@f)$(${'$'}{words[1]} __complete zsh "${'$'}{(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  lines=(${'$'}{lines:#})
  if [[ ${'$'}{lines[-1]} == :* ]]; then
    kind=${'$'}{lines[-1]}
    lines[-1]=()
  fi
  (( ${'$'}#lines )) && _describe -t sublet sublet lines
  case $kind in
    :files) _files ;;
    :folders) _files -/ ;;
  esac
}
if [[ $funcstack[1] == _sublet ]]; then _sublet "$@"; else compdef _sublet sublet; fi
`;

const fish = `# fish completion for sublet; for this shell: sublet completion fish | source
function __sublet_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in ($before[1] __complete fish $before[2..] $current 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path $current
            case ':folders'
                __fish_complete_directories $current
            case '*'
                echo $line
        end
    end
end
complete -c sublet -f -a '(__sublet_complete)'
`;

export const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
