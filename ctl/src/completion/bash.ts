// SPDX-License-Identifier: Apache-2.0
import { FILE_OPTIONS, subcommandCases, valueCases } from './cases.js'
import type { DescribedCommand, DescribedOption } from './describe.js'

/** Plain bash without the bash-completion package, which an edge box may lack. */
export function bashCompletion(commands: readonly DescribedCommand[]): string {
  return `# bash completion for flowdam; load it with: source <(flowdam completion bash)
_flowdam() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' word index words=''
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "$path $word" in
${subcommandCases(commands, 'path')}
    esac
  done
  case "$path $previous" in
${valueCases(commands, valueReply)}
  esac
  case "$path" in
${wordCases(commands)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _flowdam flowdam
`
}

function valueReply({ flags, choices }: DescribedOption): string {
  if (choices.length > 0) return `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$current"));`
  return FILE_OPTIONS.some((option) => flags.includes(option))
    ? 'COMPREPLY=($(compgen -f -- "$current"));'
    : ''
}

function wordCases(commands: readonly DescribedCommand[]): string {
  return commands
    .map(({ path, subcommands, options, choices }) => {
      const names = subcommands.map(({ name }) => name)
      const flags = options.flatMap((option) => option.flags.filter((flag) => flag.startsWith('--')))
      return `    '${path}')
      if [[ $current == -* ]]; then words='${flags.join(' ')}'; else words='${[...names, ...choices].join(' ')}'; fi ;;`
    })
    .join('\n')
}
