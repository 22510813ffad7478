// SPDX-License-Identifier: Apache-2.0
import type { AuditEntry } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { durationOption, wholeNumber } from '../input/values.js'
import { type Column, renderTable } from '../output/table.js'
import { formatTime } from '../output/units.js'
import { inSession, type World } from '../session.js'

interface AuditOptions {
  limit: number
  since?: number
  by?: string
  refused?: true
}

const PAGE = 1000

export function auditCommand(world: World): Command {
  return new Command('audit')
    .description('who changed what, and who was refused, newest first')
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 100_000), 100)
    .option('--since <time>', 'only of the last time, such as 1h or 7d', durationOption)
    .option('--by <name>', 'only of this one, such as token:noc or local')
    .option('--refused', 'only refusals')
    .addHelpText(
      'after',
      examples(
        ['flowdam audit --since 1d', 'what was done today'],
        ['flowdam audit --refused', 'who was not let through'],
      ),
    )
    .action((options: AuditOptions, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const entries: AuditEntry[] = []
        let pageToken = ''
        do {
          const page = await client.call(client.audit.listAudit.bind(client.audit), {
            limit: Math.min(PAGE, options.limit - entries.length),
            pageToken,
            sinceUnixMs: options.since === undefined ? 0 : session.now() - options.since,
            by: options.by ?? '',
            refused: options.refused === true,
          })
          entries.push(...page.entries)
          pageToken = page.nextPageToken
        } while (pageToken !== '' && entries.length < options.limit)
        if (session.json) return session.writeJson({ entries })
        if (entries.length === 0) return session.write('nothing was changed and nobody refused\n')
        session.write(renderTable(COLUMNS, entries, session.terminal))
      }),
    )
}

const COLUMNS: Column<AuditEntry>[] = [
  { title: 'TIME', cell: ({ atUnixMs }) => formatTime(atUnixMs) },
  { title: 'BY', cell: ({ by }) => by, shrink: 'end' },
  { title: 'WHO', cell: ({ who }) => who, dropOrder: 3, shrink: 'end' },
  { title: 'FROM', cell: ({ peer }) => peer, dropOrder: 2, shrink: 'middle' },
  { title: 'WHAT', cell: ({ method }) => method.split('/').at(-1) ?? method },
  {
    title: 'RESULT',
    cell: resultWord,
    shrink: 'end',
    style: ({ status }) => (status === 'OK' ? undefined : 'red'),
  },
  { title: 'REQUEST', cell: ({ request }) => request, dropOrder: 1, shrink: 'end' },
]

function resultWord({ status, error, suppressed }: AuditEntry): string {
  const more = suppressed === 0 ? '' : ` (${suppressed} more refusals before)`
  return `${status === 'OK' ? 'done' : error || status}${more}`
}
