// SPDX-License-Identifier: Apache-2.0
import { FILE_OPTIONS } from './cases.js'
import type { DescribedCommand, DescribedOption } from './describe.js'

/**
 * fish takes one line for each thing that it may offer. Which commands were typed is worked out once, from words that
 * are neither options nor their values, because fish's own helpers know nothing of values.
 */
export function fishCompletion(commands: readonly DescribedCommand[]): string {
  const takingValues = new Set(
    commands.flatMap(({ options }) =>
      options.filter(({ takesValue }) => takesValue).flatMap(({ flags }) => flags),
    ),
  )
  return `# fish completion for flowdam; load it with: flowdam completion fish | source
function __flowdam_path
  set -l path ''
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${[...takingValues].join(' ')}
        set skip 1
      case '-*'
      case '*'
        switch "$path $word"
${pathCases(commands)}
        end
    end
  end
  echo -n $path
end
function __flowdam_at
  set -l path (__flowdam_path)
  test "$path" = "$argv[1]"
end
complete -c flowdam -f
${commands.flatMap(linesOf).join('\n')}
`
}

function pathCases(commands: readonly DescribedCommand[]): string {
  return commands
    .flatMap(({ path, subcommands }) =>
      subcommands.map(
        ({ name }) =>
          `          case ${quote(`${path} ${name}`)}\n            set path ${quote(`${path} ${name}`.trim())}`,
      ),
    )
    .join('\n')
}

function linesOf({ path, subcommands, options, choices }: DescribedCommand): string[] {
  const here = `complete -c flowdam -n ${quote(`__flowdam_at ${quote(path)}`)}`
  return [
    ...subcommands.map(({ name, description }) => `${here} -a ${name} -d ${quote(description)}`),
    ...(choices.length > 0 ? [`${here} -a ${quote(choices.join(' '))}`] : []),
    ...options.map((option) => `${here} ${optionOf(option)}`),
  ]
}

function optionOf({ flags, description, takesValue, choices }: DescribedOption): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
  const isFile = FILE_OPTIONS.some((option) => flags.includes(option))
  const value = takesValue ? [isFile ? '-rF' : '-x'] : []
  const known = choices.length > 0 ? [`-a ${quote(choices.join(' '))}`] : []
  return [...names, ...value, ...known, `-d ${quote(description)}`].join(' ')
}

/** As fish reads single quotes. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
