// SPDX-License-Identifier: Apache-2.0
//
// Live views: on a terminal a picture that is drawn again, in a pipe a line for each change, with --json an object.
import type { Attack, Ban, WatchHostResponse } from '@flowdam/proto'
import { Command, Option } from 'commander'
import { examples } from '../help.js'
import { addressArgument } from '../input/values.js'
import { untilInterrupted } from '../interrupt.js'
import { renderFields } from '../output/fields.js'
import { Screen } from '../output/screen.js'
import { renderTable } from '../output/table.js'
import { printable } from '../output/terminal.js'
import { formatRates, formatTime } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'
import { attackColumns, watchAttacks } from './attacks.js'
import { banColumns } from './bans-list.js'
import { watchBans } from './bans-watch.js'
import { type FilterOptions, filterOptions } from './flow-filter.js'
import { followFlows } from './flows-follow.js'
import { describeHost } from './host.js'
import { intervalOption, type TopOptions, topOptions, watchTop } from './top.js'

const REDRAW_MS = 1000

export function watchCommand(world: World): Command {
  return new Command('watch')
    .description('a live view until Ctrl-C: top (the default), bans, attacks, host, flows')
    .addCommand(topView(world), { isDefault: true })
    .addCommand(bansView(world))
    .addCommand(attacksView(world))
    .addCommand(hostView(world))
    .addCommand(flowsView(world))
}

function topView(world: World): Command {
  return topOptions(new Command('top'))
    .description('the busiest addresses; the same as `flowdam top --watch`')
    .addHelpText('after', examples(['flowdam watch top --by bps', '']))
    .action((options: TopOptions, command: Command) =>
      inSession(world, command, (session) => watchTop(session, options)),
    )
}

function bansView(world: World): Command {
  return new Command('bans')
    .description('the bans in force; in a pipe every change')
    .addHelpText('after', examples(['flowdam watch bans', '']))
    .action((_options: object, command: Command) =>
      inSession(world, command, (session) => {
        if (!redraws(session)) return watchBans(session)
        const { client } = session
        const bans = new Map<string, Ban>()
        return live(session, {
          changes: (signal) => client.watch((metadata) => client.bans.watchBans({}, metadata), signal),
          take: ({ event, ban }) => {
            if (!ban) return
            if (event !== 'unban' && ban.state === 'banned') bans.set(ban.id, ban)
            else bans.delete(ban.id)
          },
          heading: () => `${bans.size} active`,
          body: () => {
            if (bans.size === 0) return 'no active bans\n'
            const newest = [...bans.values()].sort((a, b) => (a.id < b.id ? 1 : -1))
            return renderTable(banColumns({}, newest, session.now()), newest, session.terminal)
          },
        })
      }),
    )
}

function attacksView(world: World): Command {
  return new Command('attacks')
    .description('the attacks under way; in a pipe every change')
    .addHelpText('after', examples(['flowdam watch attacks', '']))
    .action((_options: object, command: Command) =>
      inSession(world, command, (session) => {
        if (!redraws(session)) return watchAttacks(session)
        const { client } = session
        const attacks = new Map<string, Attack>()
        return live(session, {
          changes: (signal) => client.watch((metadata) => client.attacks.watchAttacks({}, metadata), signal),
          take: ({ event, attack }) => {
            if (!attack) return
            if (event === 'end') attacks.delete(attack.id)
            else attacks.set(attack.id, attack)
          },
          heading: () => `${attacks.size} under way`,
          body: () => {
            if (attacks.size === 0) return 'no attack now\n'
            const strongest = [...attacks.values()].sort((a, b) => (b.now?.pps ?? 0) - (a.now?.pps ?? 0))
            return renderTable(attackColumns(session.now()), strongest, session.terminal)
          },
        })
      }),
    )
}

function hostView(world: World): Command {
  return new Command('host')
    .description('one protected address; in a pipe a line each time')
    .argument('<address>', 'IPv4 or IPv6 address', addressArgument)
    .addOption(
      new Option('--interval <time>', 'how often').argParser(intervalOption).default(REDRAW_MS, '1s'),
    )
    .addHelpText('after', examples(['flowdam watch host 203.0.113.5', '']))
    .action((address: string, { interval }: { interval: number }, command: Command) =>
      inSession(world, command, (session) => {
        const { client } = session
        const request = { address, intervalMs: interval }
        const changes = (signal: AbortSignal) =>
          client.watch((metadata) => client.hosts.watchHost(request, metadata), signal)
        if (!redraws(session)) {
          return untilInterrupted(async (signal) => {
            for await (const seen of changes(signal)) {
              if (session.json) session.writeJsonLine(seen)
              else session.write(hostLine(seen))
            }
          })
        }
        let last: WatchHostResponse | undefined
        return live(session, {
          changes,
          take: (seen) => {
            last = seen
          },
          heading: () => address,
          body: () =>
            last?.host ? renderFields(describeHost(address, last.host, session.now()), session.terminal) : '',
        })
      }),
    )
}

function flowsView(world: World): Command {
  return filterOptions(new Command('flows'))
    .description('flows as they arrive; the same as `flowdam flows --follow`')
    .addHelpText('after', examples(['flowdam watch flows --proto udp --port 53', '']))
    .action((options: FilterOptions, command: Command) =>
      inSession(world, command, (session) => followFlows(session, options, 0)),
    )
}

function hostLine({ atUnixMs, host }: WatchHostResponse): string {
  const { incoming, outgoing, banned } = host?.rates ?? {}
  const ban = banned ? '  banned' : ''
  const line = `in ${formatRates(incoming)}; out ${formatRates(outgoing)}${ban}`
  return `${formatTime(atUnixMs)}  ${printable(line)}\n`
}

function redraws(session: Session): boolean {
  return session.terminal.isTty && !session.json
}

interface View<Change> {
  changes: (signal: AbortSignal) => AsyncIterable<Change>
  take: (change: Change) => void
  heading: () => string
  body: () => string
}

/** Draws once a second, because times go by, and never more often, however much happens. */
function live<Change>(session: Session, { changes, take, heading, body }: View<Change>): Promise<void> {
  return untilInterrupted(async (signal) => {
    const screen = new Screen(session)
    const draw = () => screen.draw(heading(), body())
    let first: NodeJS.Timeout | undefined
    const timer = setInterval(draw, REDRAW_MS)
    try {
      for await (const change of changes(signal)) {
        take(change)
        // What is there at the beginning comes one by one: the first picture waits for all of it.
        first ??= setTimeout(draw, 50)
      }
    } finally {
      clearInterval(timer)
      clearTimeout(first)
      screen.end()
    }
  })
}
