// SPDX-License-Identifier: Apache-2.0
import { formatBytes, formatDuration } from '@flowdam/common'
import { Direction, type Talker, type TopTalkersRequest, type TopTalkersResponse } from '@flowdam/proto'
import { Command, Option } from 'commander'
import { examples } from '../help.js'
import { parseProtocol, protocolName } from '../input/protocol.js'
import { directionOption, prefixArgument, wholeNumber } from '../input/values.js'
import { type Column, renderTable } from '../output/table.js'
import { formatCount } from '../output/units.js'
import type { Session, World } from '../session.js'
import { inFlowQuery, parsePeriod } from './flow-query.js'

interface TalkersOptions {
  since: string
  until: string
  of: string
  by: string
  direction?: Direction
  host?: string
  proto?: number
  port?: number
  agent?: string
  limit: number
  raw?: true
}

export function talkersCommand(world: World): Command {
  return new Command('talkers')
    .description('who or what had most traffic in a time that is over')
    .option('--since <moment>', 'from then on: 5m, 2h, 7d (ago), 14:30, 2026-11-22T14:30', '1h')
    .option('--until <moment>', 'up to then', 'now')
    .addOption(
      new Option('--of <kind>', 'what to sum by: our addresses, those on the other side, ports, protocols')
        .choices(['host', 'remote', 'port', 'protocol'])
        .default('host'),
    )
    .addOption(
      new Option('--by <amount>', 'what to rank by').choices(['bytes', 'packets', 'flows']).default('bytes'),
    )
    .option('-d, --direction <in|out>', 'one direction only (default: both together)', directionOption)
    .option('--host <prefix>', 'address or prefix on our side', prefixArgument)
    .option('-p, --proto <protocol>', 'name or number: tcp, udp, icmp, icmpv6, gre, 47, …', parseProtocol)
    .option('--port <number>', 'the lower of the two ports', wholeNumber('--port', 1, 65_535))
    .option('--agent <id>', 'counted by this agent')
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 1000), 20)
    .option('--raw', 'read every flow, where sums by the hour and minute would do')
    .addHelpText(
      'after',
      examples(
        ['flowdam talkers', 'our busiest addresses of the last hour'],
        ['flowdam talkers --since 1d --of port --direction out', 'what we sent most of, today'],
        ['flowdam talkers --of remote --host 203.0.113.5 --direction in', 'who sent most to it'],
      ),
    )
    .action((options: TalkersOptions, command: Command) =>
      inFlowQuery(world, command, async (session) => {
        const { client } = session
        const request = buildRequest(options, session.now())
        const response = await client.call(client.flows.topTalkers.bind(client.flows), request)
        if (session.json) return session.writeJson(response)
        session.write(render(session, options, response))
      }),
    )
}

function buildRequest(options: TalkersOptions, nowMs: number): TopTalkersRequest {
  return {
    ...parsePeriod(options, nowMs),
    of: options.of,
    by: options.by,
    direction: options.direction ?? Direction.DIRECTION_UNSPECIFIED,
    host: options.host ?? '',
    protocol: options.proto ?? 0,
    port: options.port ?? 0,
    agent: options.agent ?? '',
    limit: options.limit,
    raw: options.raw === true,
  }
}

function render({ terminal }: Session, options: TalkersOptions, response: TopTalkersResponse): string {
  const { talkers, totalFlows, totalPackets, totalBytes, elapsedMs, rowsRead, tables } = response
  if (talkers.length === 0) return `nothing was stored since ${options.since} that matches\n`
  const table = renderTable(columns(options.of, totalBytes), talkers, terminal)
  const totals = [
    `${formatCount(totalFlows)} flows, ${formatCount(totalPackets)} packets and ${formatBytes(totalBytes)} in all`,
    `${formatCount(rowsRead)} rows of ${tables.join(' and ')} in ${formatDuration(elapsedMs)}`,
  ]
  return `${table}\n${totals.join('\n')}\n`
}

function columns(of: string, totalBytes: number): Column<Talker>[] {
  const name: Column<Talker>[] =
    of === 'port' || of === 'protocol'
      ? [
          { title: 'PROTO', cell: ({ protocol }) => protocolName(protocol) },
          ...(of === 'port'
            ? [{ title: 'PORT', cell: ({ port }: Talker) => String(port), align: 'right' as const }]
            : []),
        ]
      : [{ title: of === 'host' ? 'ADDRESS' : 'REMOTE', cell: ({ address }) => address, shrink: 'middle' }]
  return [
    ...name,
    { title: 'BYTES', cell: ({ bytes }) => formatBytes(bytes), align: 'right' },
    {
      title: 'SHARE',
      cell: ({ bytes }) => `${((bytes / Math.max(1, totalBytes)) * 100).toFixed(1)} %`,
      align: 'right',
      dropOrder: 3,
    },
    { title: 'PACKETS', cell: ({ packets }) => formatCount(packets), align: 'right', dropOrder: 1 },
    { title: 'FLOWS', cell: ({ flows }) => formatCount(flows), align: 'right', dropOrder: 2 },
  ]
}
