// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander'
import { examine } from '../doctor/examine.js'
import { type Finding, SEVERITIES, type Section, type Severity, worstOf } from '../doctor/finding.js'
import { machine } from '../doctor/sources.js'
import { EXIT, type ExitStatus } from '../exit-status.js'
import { examples } from '../help.js'
import { durationOption } from '../input/values.js'
import { wrap } from '../output/fields.js'
import { paint, type Style, type Terminal } from '../output/terminal.js'
import { inSession, type World } from '../session.js'

interface DoctorOptions {
  interface: string[]
  watch: number
  quiet?: true
}

export function doctorCommand(world: World, exitWith: (status: ExitStatus) => void): Command {
  return new Command('doctor')
    .description(
      'is this machine ready to count? Looks at kernel, drivers, queues and limits; changes nothing',
    )
    .option(
      '-i, --interface <name>',
      'look at this one (may be repeated; default: all with hardware)',
      append,
      [],
    )
    .addOption(
      new Option('--watch <time>', 'how long drop counters are watched')
        .argParser(durationOption)
        .default(1000, '1s'),
    )
    .option('-q, --quiet', 'only what is not well')
    .addHelpText(
      'after',
      examples(
        ['flowdam doctor', ''],
        ['flowdam doctor -i eth0 -i eth1 --watch 10s', ''],
        ['flowdam doctor --json', 'for a program: exit status 1 if there is a problem'],
      ),
    )
    .action((options: DoctorOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const sections = await examine(machine, { interfaces: options.interface, watchMs: options.watch })
        const worst = worstOf(sections.flatMap(({ findings }) => findings))
        exitWith(worst === 'problem' ? EXIT.failed : EXIT.ok)
        if (session.json) return session.writeJson({ worst, sections })
        session.write(render(sections, options.quiet === true, session.terminal))
      }),
    )
}

function append(value: string, earlier: string[]): string[] {
  return [...earlier, value]
}

const STYLE: Record<Severity, Style> = { ok: 'green', note: 'dim', warning: 'yellow', problem: 'red' }
const SEVERITY_WIDTH = Math.max(...SEVERITIES.map(({ length }) => length)) + 2

function render(sections: Section[], quiet: boolean, terminal: Terminal): string {
  const shown = sections
    .map(({ name, findings }) => ({
      name,
      findings: findings.filter(({ severity }) => !quiet || severity !== 'ok'),
    }))
    .filter(({ findings }) => findings.length > 0)
  const texts = shown.map(({ name, findings }) =>
    [paint(terminal, 'bold', name), ...findings.flatMap((finding) => renderFinding(finding, terminal))].join(
      '\n',
    ),
  )
  return `${[...texts, summary(sections)].join('\n\n')}\n`
}

function renderFinding({ severity, text, remedy }: Finding, terminal: Terminal): string[] {
  const width = Math.max(40, terminal.width - SEVERITY_WIDTH - 2)
  const indent = ' '.repeat(SEVERITY_WIDTH)
  const lines = wrap(text, width).map((line, index) =>
    index === 0 ? paint(terminal, STYLE[severity], severity.padEnd(SEVERITY_WIDTH)) + line : indent + line,
  )
  // A command is never wrapped: it is there to be copied.
  return remedy === undefined ? lines : [...lines, `${indent}→ ${remedy}`]
}

/** `no problem, 2 warnings, 1 note`. */
function summary(sections: Section[]): string {
  const findings = sections.flatMap((section) => section.findings)
  const parts = (['problem', 'warning', 'note'] as const).map((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length
    return `${count === 0 ? 'no' : count} ${severity}${count > 1 ? 's' : ''}`
  })
  return parts.join(', ')
}
