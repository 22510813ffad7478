// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import type { World } from '../session.js'
import { bansAddCommand } from './bans-add.js'
import { bansListCommand } from './bans-list.js'
import { bansPauseCommand } from './bans-pause.js'
import { bansRemoveCommand } from './bans-remove.js'
import { bansResumeCommand } from './bans-resume.js'
import { bansShowCommand } from './bans-show.js'
import { bansWatchCommand } from './bans-watch.js'

export function bansCommand(world: World): Command {
  return new Command('bans')
    .description('the bans: list (the default), show, add, remove, watch, pause, resume')
    .addCommand(bansListCommand(world), { isDefault: true })
    .addCommand(bansShowCommand(world))
    .addCommand(bansAddCommand(world))
    .addCommand(bansRemoveCommand(world))
    .addCommand(bansWatchCommand(world))
    .addCommand(bansPauseCommand(world))
    .addCommand(bansResumeCommand(world))
}
