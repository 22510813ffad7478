// SPDX-License-Identifier: Apache-2.0
import { type Prefix, parsePrefix } from '@flowdam/common'
import type { Attack } from './attack.js'

/** The addresses that an attack is about; of a hostgroup its own prefixes. */
export function attackedPrefixes(
  { scope, target }: Pick<Attack, 'scope' | 'target'>,
  config: {
    networks: readonly Prefix[]
    hostgroups: readonly { name: string; prefixes: readonly Prefix[] }[]
  },
): readonly Prefix[] {
  if (scope === 'host' || scope === 'prefix') return [parsePrefix(target)]
  if (scope === 'total') return config.networks
  return config.hostgroups.find(({ name }) => name === target)?.prefixes ?? []
}
