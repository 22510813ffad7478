// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { parsePrefix } from '@flowdam/common'
import type { Ban, HookAction } from '../bans/ban.js'
import { Bans } from '../bans/bans.js'
import { Journal } from '../bans/journal.js'
import type { HookNames } from '../bans/levels.js'
import type { BanRules } from '../bans/rules.js'
import type { Detection } from '../detect/detection.js'
import { NO_RATES } from '../detect/sample.js'
import { emptyMix } from '../detect/traffic.js'
import { quietLog } from './quiet-log.js'

/** One that was found just now: an address at five times a threshold of 1000 pps. */
export function detection(address: string, more: Partial<Detection> = {}): Detection {
  return {
    scope: 'host',
    target: address,
    prefix: parsePrefix(address),
    direction: 'incoming',
    hostgroup: '',
    metric: 'pps',
    threshold: 1000,
    value: 5000,
    times: 5,
    rates: NO_RATES,
    averages: NO_RATES,
    mix: emptyMix(),
    hosts: [],
    shared: 0,
    receivedAt: 0,
    ...more,
  }
}

/** Bans on a clock of their own that can be killed; who extends it keeps what hooks were told, which outlives that. */
export abstract class BanScene {
  readonly file: string
  now = 1_000_000
  watched = true
  /** Hooks of this moment never run: the process died in between. */
  lost = false
  rules: BanRules
  bans: Bans

  /** `file`: of the journal, which is not there yet. */
  constructor(file: string, rules: BanRules) {
    this.file = file
    this.rules = rules
    this.bans = this.#make()
    this.bans.start()
  }

  /** What the runner of hooks is told; `except` are not. */
  protected abstract tell(action: HookAction, ban: Ban, hooks: HookNames, except: HookNames): void

  #make(): Bans {
    const bans: Bans = new Bans({
      rules: this.rules,
      journal: new Journal(this.file, quietLog()),
      clock: () => this.now,
      watched: () => this.watched,
      log: quietLog(),
      actions: {
        run: (action, ban, _decidedAt, hooks, except = []) => {
          assert.equal(ban.dryRun, false, 'no hook for a dry run')
          if (this.lost) return
          this.tell(action, ban, hooks, except)
          if (action === 'unban') bans.settled(ban.id)
        },
      },
    })
    return bans
  }

  /** Ends without a word and starts again. */
  restart(rules = this.rules): void {
    this.bans.stop()
    this.rules = rules
    this.lost = false
    this.bans = this.#make()
    this.bans.start()
  }
}
