// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import type { World } from '../session.js'
import { baselineAcceptCommand } from './baseline-accept.js'
import { baselineExportCommand } from './baseline-export.js'
import { baselineForgetCommand } from './baseline-forget.js'
import { baselineShowCommand } from './baseline-show.js'

export function baselineCommand(world: World): Command {
  return new Command('baseline')
    .description('what is usual, as it was learned: show (the default), export, accept, forget')
    .addCommand(baselineShowCommand(world), { isDefault: true })
    .addCommand(baselineExportCommand(world))
    .addCommand(baselineAcceptCommand(world))
    .addCommand(baselineForgetCommand(world))
}
