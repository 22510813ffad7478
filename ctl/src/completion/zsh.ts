// SPDX-License-Identifier: Apache-2.0
import { FILE_OPTIONS, subcommandCases, valueCases } from './cases.js'
import type { DescribedCommand, DescribedOption } from './describe.js'

/** Uses zsh's own completion system, so that descriptions are shown beside the words. */
export function zshCompletion(commands: readonly DescribedCommand[]): string {
  return `#compdef flowdam
# zsh completion for flowdam; load it with: source <(flowdam completion zsh)
_flowdam() {
  local current=\${words[CURRENT]} previous=\${words[CURRENT-1]} path_='' index
  local -a candidates
  for ((index = 2; index < CURRENT; index++)); do
    case "$path_ \${words[index]}" in
${subcommandCases(commands, 'path_')}
    esac
  done
  case "$path_ $previous" in
${valueCases(commands, valueReply)}
  esac
  case "$path_" in
${wordCases(commands)}
  esac
  _describe flowdam candidates
}
compdef _flowdam flowdam
`
}

function valueReply({ flags, choices }: DescribedOption): string {
  if (choices.length > 0) return `compadd -- ${choices.join(' ')};`
  return FILE_OPTIONS.some((option) => flags.includes(option)) ? '_files;' : ''
}

function wordCases(commands: readonly DescribedCommand[]): string {
  return commands
    .map(({ path, subcommands, options, choices }) => {
      const flags = options.flatMap(({ flags, description }) =>
        flags.filter((flag) => flag.startsWith('--')).map((flag) => candidate(flag, description)),
      )
      const names = [
        ...subcommands.map(({ name, description }) => candidate(name, description)),
        ...choices.map((choice) => candidate(choice, '')),
      ]
      return `    '${path}')
      if [[ $current == -* ]]; then candidates=(${flags.join(' ')}); else candidates=(${names.join(' ')}); fi ;;`
    })
    .join('\n')
}

/** `name:description` as _describe wants it, quoted for the shell. */
function candidate(name: string, description: string): string {
  const text = description === '' ? name : `${name}:${description.replaceAll(':', '\\:')}`
  return `'${text.replaceAll("'", "'\\''")}'`
}
