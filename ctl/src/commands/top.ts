// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises'
import { formatDuration } from '@flowdam/common'
import { Direction, type HostRates, type Rates, type TopHostsRequest } from '@flowdam/proto'
import { Command, Option } from 'commander'
import { usageError } from '../command-error.js'
import { examples } from '../help.js'
import { directionOption, durationOption, wholeNumber } from '../input/values.js'
import { untilInterrupted } from '../interrupt.js'
import { Screen } from '../output/screen.js'
import { type Column, renderTable } from '../output/table.js'
import { formatBps, formatClock, formatFlowRate, formatPps } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'

export interface TopOptions {
  by: string
  direction?: Direction
  limit: number
  watch?: true
  interval: number
}

const SHORTEST_INTERVAL_MS = 100

export function topCommand(world: World): Command {
  return topOptions(new Command('top'))
    .description('the protected addresses with the most traffic')
    .option('-w, --watch', 'go on until Ctrl-C')
    .addHelpText(
      'after',
      examples(
        ['flowdam top', 'the 20 addresses with most packets per second'],
        ['flowdam top --by bps --direction out', 'who sends most'],
        ['flowdam top --watch --interval 2s', 'a live picture'],
        ['flowdam top --json | jq -r ".hosts[].address"', 'for a program'],
      ),
    )
    .action((options: TopOptions, command: Command) =>
      inSession(world, command, (session) =>
        options.watch ? watchTop(session, options) : once(session, options),
      ),
    )
}

/** What to rank, and how often a watch looks. */
export function topOptions(command: Command): Command {
  return command
    .addOption(new Option('--by <rate>', 'what to rank by').choices(['pps', 'bps', 'flows']).default('pps'))
    .option('-d, --direction <in|out>', 'rank by one direction (default: both together)', directionOption)
    .option('-n, --limit <count>', 'at most this many', wholeNumber('--limit', 1, 1000), 20)
    .addOption(
      new Option('--interval <time>', 'how often a watch looks')
        .argParser(intervalOption)
        .default(1000, '1s'),
    )
}

async function once(session: Session, options: TopOptions): Promise<void> {
  const response = await fetch(session, options, options.limit)
  if (session.json) return session.writeJson(response)
  session.write(render(session, options, response.hosts))
}

export function watchTop(session: Session, options: TopOptions): Promise<void> {
  return untilInterrupted(async (signal) => {
    const redraw = session.terminal.isTty && !session.json
    const screen = new Screen(session)
    const every = `every ${formatDuration(options.interval).replace('.0 s', ' s')}`
    while (!signal.aborted) {
      const fitting = redraw ? Math.min(options.limit, screen.room) : options.limit
      const response = await fetch(session, options, fitting)
      if (signal.aborted) break
      const table = () => render(session, options, response.hosts)
      if (session.json) session.writeJsonLine(response)
      else if (redraw) screen.draw(every, table())
      else session.write(`${formatClock(session.now())}  ${session.client.server}, ${every}\n\n${table()}\n`)
      await sleep(options.interval, undefined, { signal }).catch(() => undefined)
    }
    screen.end()
  })
}

function fetch({ client }: Session, { by, direction }: TopOptions, limit: number) {
  const request: TopHostsRequest = { by, limit, direction: direction ?? Direction.DIRECTION_UNSPECIFIED }
  return client.call(client.hosts.topHosts.bind(client.hosts), request)
}

function render(session: Session, options: TopOptions, hosts: HostRates[]): string {
  if (hosts.length === 0) return 'no protected address has traffic now\n'
  return renderTable(columns(options), hosts, session.terminal)
}

const NOTHING: Rates = { pps: 0, bps: 0, flows: 0 }

function columns({ by, direction }: TopOptions): Column<HostRates>[] {
  const outFirst = direction === Direction.DIRECTION_OUTGOING
  const incoming = rateColumns('IN', (host) => host.incoming ?? NOTHING, by, outFirst ? 10 : 0)
  const outgoing = rateColumns('OUT', (host) => host.outgoing ?? NOTHING, by, outFirst ? 0 : 10)
  const sides = outFirst ? [...outgoing, ...incoming] : [...incoming, ...outgoing]
  return [
    { title: 'ADDRESS', cell: ({ address }) => address, shrink: 'middle' },
    { title: 'BAN', cell: ({ banned }) => (banned ? 'banned' : ''), dropOrder: 1, style: () => 'red' },
    ...sides,
    { title: 'HOSTGROUP', cell: ({ hostgroup }) => hostgroup, dropOrder: 20 },
  ]
}

function rateColumns(
  side: string,
  pick: (host: HostRates) => Rates,
  by: string,
  dropAfter: number,
): Column<HostRates>[] {
  const order = (metric: string, later: number) => (metric === by ? dropAfter + 1 : dropAfter + later)
  return [
    {
      title: `${side} PACKETS`,
      cell: (host) => formatPps(pick(host).pps),
      align: 'right',
      dropOrder: order('pps', 3),
    },
    {
      title: `${side} BITS`,
      cell: (host) => formatBps(pick(host).bps),
      align: 'right',
      dropOrder: order('bps', 2),
    },
    {
      title: `${side} FLOWS`,
      cell: (host) => formatFlowRate(pick(host).flows),
      align: 'right',
      dropOrder: order('flows', 5),
    },
  ]
}

export function intervalOption(text: string): number {
  const interval = durationOption(text)
  if (interval < SHORTEST_INTERVAL_MS) throw usageError(`--interval: at least ${SHORTEST_INTERVAL_MS}ms`)
  return interval
}
