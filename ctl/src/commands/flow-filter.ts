// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander'
import { usageError } from '../command-error.js'
import { parseProtocol } from '../input/protocol.js'
import { prefixArgument, wholeNumber } from '../input/values.js'
import { parseWhere, type Where } from '../input/where.js'

/** What narrows stored flows and live ones alike. */
export interface FilterOptions extends Where {
  where?: Where
}

export function filterOptions(command: Command): Command {
  return command
    .option('--host <prefix>', 'address or prefix, on either side', prefixArgument)
    .option('--src <prefix>', 'from this address or prefix', prefixArgument)
    .option('--dst <prefix>', 'to this address or prefix', prefixArgument)
    .option('-p, --proto <protocol>', 'name or number: tcp, udp, icmp, icmpv6, gre, 47, …', parseProtocol)
    .option('--port <number>', 'port, on either side', wholeNumber('--port', 1, 65_535))
    .option('--agent <id>', 'counted by this agent')
    .option('--where <conditions>', "the same in one word: 'dst=203.0.113.5 proto=udp port=53'", parseWhere)
}

export function flowFilter({ where = {}, ...options }: FilterOptions) {
  const twice = Object.keys(where).find((field) => options[field as keyof Where] !== undefined)
  if (twice !== undefined) throw usageError(`--${twice} and --where ${twice}=… cannot both be given`)
  const { host = '', src = '', dst = '', proto = 0, port = 0, agent = '' } = { ...options, ...where }
  return { host, src, dst, protocol: proto, port, agent }
}
