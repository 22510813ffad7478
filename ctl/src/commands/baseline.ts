// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import type { World } from '../session.js'
import { baselineExportCommand } from './baseline-export.js'
import { baselineForgetCommand } from './baseline-forget.js'
import { baselineShowCommand } from './baseline-show.js'

export function baselineCommand(world: World): Command {
  return new Command('baseline')
    .description('what is usual, as it was learned: show (the default), export, forget')
    .addCommand(baselineShowCommand(world), { isDefault: true })
    .addCommand(baselineExportCommand(world))
    .addCommand(baselineForgetCommand(world))
}
