// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '@flowdam/common'
import type { Ban, HookRun, WatchBansResponse } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { untilInterrupted } from '../interrupt.js'
import { banTraffic, cause, levelWord, timeLeft } from '../output/ban.js'
import { directionWord } from '../output/json.js'
import { paint, printable, type Style } from '../output/terminal.js'
import { formatTime } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'

export function bansWatchCommand(world: World): Command {
  return new Command('watch')
    .description('the active bans, then every change, until Ctrl-C')
    .addHelpText(
      'after',
      examples(
        ['flowdam bans watch', ''],
        ['flowdam bans watch --json | jq -r \'select(.event == "ban").ban.prefix\'', 'one object per line'],
      ),
    )
    .action((_options: object, command: Command) => inSession(world, command, watchBans))
}

/** A line for each change. */
export function watchBans(session: Session): Promise<void> {
  return untilInterrupted(async (signal) => {
    const { client } = session
    for await (const change of client.watch((metadata) => client.bans.watchBans({}, metadata), signal)) {
      if (session.json) session.writeJsonLine(change)
      else session.write(`${describe(session, change)}\n`)
    }
    if (session.terminal.isTty && !session.json) session.write('\n')
  })
}

const EVENT_STYLE: Record<string, Style> = { state: 'yellow', ban: 'red', level: 'red', unban: 'green' }

function describe(session: Session, { event, atUnixMs, ban }: WatchBansResponse): string {
  const { terminal } = session
  const time = formatTime(atUnixMs === 0 ? session.now() : atUnixMs)
  const word = paint(terminal, EVENT_STYLE[event], (event === 'state' ? 'active' : event).padEnd(6))
  if (!ban) return `${time}  ${word}`
  return `${time}  ${word}  ${printable(`${ban.prefix}  ${details(event, ban, atUnixMs)}`)}`
}

function details(event: string, ban: Ban, atMs: number): string {
  if (event === 'hook') return hookLine(ban.hooks.at(-1))
  if (event === 'unban') {
    return `after ${formatDuration(Math.max(0, ban.unbannedUnixMs - ban.bannedUnixMs))}`
  }
  if (event === 'extend') return `${timeLeft(ban, atMs)} more`
  const level = ban.level === '' ? '' : `${levelWord(ban)}, `
  const end = ban.untilUnixMs === 0 ? 'without an end' : `for ${timeLeft(ban, atMs)}`
  const traffic = ban.metric === 'manual' ? '' : `: ${banTraffic(ban)}`
  return `${level}${directionWord(ban.direction)}, ${cause(ban)}${traffic}, ${end}${ban.dryRun ? ', dry run' : ''}`
}

function hookLine(run: HookRun | undefined): string {
  if (!run) return ''
  const exit = run.result === 'failed' ? ` (exit ${run.exitCode})` : ''
  return `${run.hook} ${run.action}: ${run.result}${exit} in ${formatDuration(run.durationMs)}`
}
