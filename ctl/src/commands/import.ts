// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander'
import type { World } from '../session.js'
import { importFastNetMonCommand } from './import-fastnetmon.js'

export function importCommand(world: World): Command {
  return new Command('import')
    .description("another detector's configuration as Flowdam's")
    .addCommand(importFastNetMonCommand(world))
}
