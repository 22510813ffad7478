// SPDX-License-Identifier: Apache-2.0
//
// What else is told of an address: where its thresholds come from, and what goes on or went on there.
import { contains, formatPrefix, parsePrefix } from '@flowdam/common'
import type { Attack as ApiAttack, Ban as ApiBan } from '@flowdam/proto'
import type { Attack } from '../attacks/attack.js'
import type { Bans } from '../bans/bans.js'
import type { Direction, Metric } from '../detect/slots.js'
import type { HostView } from '../detect/views.js'
import { apiAttack } from './attack-service.js'
import { apiBan } from './convert.js'

const MOST_BANS = 1000

export interface HostContext {
  /** The line of the configuration; `target`: the address, or what is counted together. */
  ruleOf: (target: string, direction: Direction, metric: Metric, rate: number) => string
  /** Under way. */
  attacks: () => readonly Attack[]
}

/** On the address itself, or on a prefix, a hostgroup or the total that it is part of. */
export function attacksOn({ address, policy }: HostView, attacks: readonly Attack[]): ApiAttack[] {
  const prefix = wholeOf(address)
  return attacks
    .filter(({ scope, target }) => {
      if (scope === 'total') return true
      return scope === 'hostgroup' ? target === policy.hostgroup : contains(parsePrefix(target), prefix)
    })
    .map(apiAttack)
}

/** The newest that ended. */
export function lastBan(address: Uint8Array, bans: Bans): ApiBan | undefined {
  const prefix = wholeOf(address)
  const ended = bans
    .list(true, MOST_BANS)
    .find((ban) => ban.state === 'unbanned' && contains(parsePrefix(ban.prefix), prefix))
  return ended && apiBan(ended)
}

function wholeOf(address: Uint8Array) {
  return { bytes: address, length: 128, text: formatPrefix(address, 128) }
}
