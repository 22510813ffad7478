// SPDX-License-Identifier: Apache-2.0
import { formatBytes, formatDuration } from '@flowdam/common'
import type { QueryFlowsRequest, QueryFlowsResponse } from '@flowdam/proto'
import { Command, Option } from 'commander'
import { examples } from '../help.js'
import { wholeNumber } from '../input/values.js'
import { flowColumns } from '../output/flow.js'
import { renderTable } from '../output/table.js'
import { formatCount } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'
import { type FilterOptions, filterOptions, flowFilter } from './flow-filter.js'
import { inFlowQuery, parsePeriod } from './flow-query.js'
import { followFlows } from './flows-follow.js'

interface FlowsOptions extends FilterOptions {
  since: string
  until: string
  limit: number
  aggregate?: true
  order?: string
  follow?: true
}

export function flowsCommand(world: World): Command {
  const command = new Command('flows')
    .description('stored flows, newest first; with --follow flows as they arrive')
    .option('--since <moment>', 'from then on: 30s, 5m, 2h (ago), 14:30, 2026-11-22T14:30', '5m')
    .option('--until <moment>', 'up to then', 'now')
  return filterOptions(command)
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 10_000), 100)
    .option('-a, --aggregate', 'sum flows with the same addresses, ports and protocol')
    .addOption(
      new Option(
        '-o, --order <by>',
        'largest first by bytes or packets, or newest first (default: time)',
      ).choices(['time', 'bytes', 'packets']),
    )
    .addOption(
      new Option('-f, --follow', 'flows as they arrive, until Ctrl-C; with --limit until so many').conflicts([
        'since',
        'until',
        'aggregate',
        'order',
      ]),
    )
    .addHelpText(
      'after',
      examples(
        ['flowdam flows --dst 203.0.113.5 --order bytes', 'who sends most to it'],
        ['flowdam flows --since 1h --proto udp --port 53 --aggregate', 'DNS of the last hour, summed'],
        ['flowdam flows --since 14:30 --until 14:35 --host 2001:db8::/48', ''],
        ['flowdam flows --follow --dst 203.0.113.5', 'what arrives for it now'],
        ['flowdam flows --json --limit 10000 | jq ".flows[]"', 'for a program'],
      ),
    )
    .action((options: FlowsOptions, command: Command) => {
      if (options.follow) {
        const limit = command.getOptionValueSource('limit') === 'cli' ? options.limit : 0
        return inSession(world, command, (session) => followFlows(session, options, limit))
      }
      return inFlowQuery(world, command, async (session) => {
        const { client } = session
        const request = buildRequest(options, session.now())
        const response = await client.call(client.flows.queryFlows.bind(client.flows), request)
        if (session.json) return session.writeJson(response)
        session.write(render(session, options, response))
      })
    })
}

function buildRequest(options: FlowsOptions, nowMs: number): QueryFlowsRequest {
  return {
    ...parsePeriod(options, nowMs),
    ...flowFilter(options),
    limit: options.limit,
    aggregate: options.aggregate === true,
    orderBy: options.order ?? 'time',
    pageToken: '',
  }
}

function render({ terminal }: Session, options: FlowsOptions, response: QueryFlowsResponse): string {
  const { flows, totalFlows, totalPackets, totalBytes, elapsedMs } = response
  if (flows.length === 0) {
    return `no flows matched since ${options.since}${options.until === 'now' ? '' : ` until ${options.until}`}\n`
  }
  const table = renderTable(flowColumns(flows), flows, terminal)
  const totals = [
    `${formatCount(flows.length)} of ${formatCount(totalFlows)} flows`,
    `${formatCount(totalPackets)} packets and ${formatBytes(totalBytes)} in all`,
    formatDuration(elapsedMs),
  ]
  return `${table}\n${totals.join('; ')}\n`
}
