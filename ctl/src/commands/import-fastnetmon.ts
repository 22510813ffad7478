// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FlowdamError } from '@flowdam/common'
import { Command } from 'commander'
import { type Finding, VERDICTS, type Verdict } from '../fastnetmon/finding.js'
import { type Imported, importFastNetMon } from '../fastnetmon/import.js'
import { examples } from '../help.js'
import { wrap } from '../output/fields.js'
import { paint, printable, type Style, type Terminal } from '../output/terminal.js'
import { inSession, type World } from '../session.js'

interface ImportOptions {
  networksList?: string
  whitelist?: string
  out?: string
  hooks?: string
  force?: true
  quiet?: true
}

/** Where hooks are: beside this checkout, or where a package puts them. */
const HOOK_FOLDERS = [
  fileURLToPath(new URL('../../../scripts/hooks', import.meta.url)),
  '/usr/lib/flowdam/hooks',
  '/opt/flowdam/scripts/hooks',
]
const DEFAULT_FOLDER = '/etc/flowdam'
const REPORT = 'import-report.txt'

export function importFastNetMonCommand(world: World): Command {
  return new Command('fastnetmon')
    .description(
      'fastnetmon.conf, networks_list and networks_whitelist of FastNetMon Community as aggregator.yaml and agent.yaml, and what became of each line',
    )
    .argument('<file>', 'fastnetmon.conf')
    .option('--networks-list <file>', 'instead of what networks_list_path says')
    .option('--whitelist <file>', 'instead of what white_list_path says')
    .option('--out <folder>', 'write the files there (default: print them)')
    .option('--hooks <folder>', "where Flowdam's hooks are (default: where they are installed)")
    .option('--force', 'write over files that are there')
    .option('-q, --quiet', 'of the lines only those that differ, or have nothing like them here')
    .addHelpText(
      'after',
      examples(
        ['flowdam import fastnetmon /etc/fastnetmon.conf', 'look'],
        ['flowdam import fastnetmon /etc/fastnetmon.conf --out /etc/flowdam', 'write'],
        ['flowdam-aggregator --check --config /etc/flowdam/aggregator.yaml', 'then'],
      ),
    )
    .action((file: string, options: ImportOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const folder = resolve(options.out ?? DEFAULT_FOLDER)
        const imported = importFastNetMon({
          file,
          networksList: options.networksList,
          whitelist: options.whitelist,
          folder,
          hooksFolder: resolve(
            options.hooks ?? HOOK_FOLDERS.find((one) => existsSync(one)) ?? DEFAULT_FOLDER,
          ),
        })
        if (options.out !== undefined) writeFiles(folder, imported, options.force === true)
        const { files, findings } = imported
        if (session.json) return session.writeJson({ files: Object.fromEntries(files), findings })
        session.write(reportOf(findings, options.quiet === true, session.terminal))
        if (options.out === undefined) {
          for (const [name, text] of files) session.write(`\n# ---- ${name} ----\n${text}`)
        } else session.write(`\nwritten to ${folder}: ${[...files.keys(), REPORT].join(', ')}\n`)
      }),
    )
}

const PLAIN: Terminal = { width: Number.POSITIVE_INFINITY, isTty: false, colour: false }

function writeFiles(folder: string, { files, findings }: Imported, force: boolean): void {
  const all = new Map([...files, [REPORT, reportOf(findings, false, PLAIN)]])
  const there = [...all.keys()].map((name) => join(folder, name)).filter((path) => existsSync(path))
  if (there.length > 0 && !force) {
    throw new FlowdamError('FD_IMPORT_EXISTS', `${there.join(', ')}: there already`, {
      remedy: 'Name another folder with --out, or write over them with --force.',
    })
  }
  try {
    mkdirSync(folder, { recursive: true })
    for (const [name, text] of all) writeFileSync(join(folder, name), text)
  } catch (cause) {
    throw new FlowdamError('FD_IMPORT_UNWRITABLE', `cannot write to ${folder}`, { cause })
  }
}

const TITLES: Record<Verdict, string> = {
  missing: 'nothing like it here',
  changed: 'taken over, but not the same',
  ignored: 'FastNetMon takes no notice of it either',
  translated: 'the same here',
  irrelevant: 'needs no counterpart',
}
const STYLES: Partial<Record<Verdict, Style>> = { missing: 'red', changed: 'yellow' }
const QUIET: readonly Verdict[] = ['missing', 'changed']

function reportOf(findings: readonly Finding[], quiet: boolean, terminal: Terminal): string {
  const sections = VERDICTS.filter((verdict) => !quiet || QUIET.includes(verdict)).flatMap((verdict) => {
    const found = findings.filter((finding) => finding.verdict === verdict)
    if (found.length === 0) return []
    const title = paint(terminal, STYLES[verdict] ?? 'bold', `${TITLES[verdict]} (${found.length})`)
    return [[title, ...found.flatMap((finding) => describe(finding, terminal))].join('\n')]
  })
  return `${sections.join('\n\n')}\n`
}

const INDENT = '    '

function describe({ file, line, key, value, text }: Finding, terminal: Terminal): string[] {
  const said = value === '' ? key : `${key} = ${value}`
  const width = Math.max(40, terminal.width - INDENT.length)
  return [`  ${printable(`${file}:${line}: ${said}`)}`, ...wrap(text, width).map((part) => INDENT + part)]
}
