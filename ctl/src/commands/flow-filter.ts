// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander'
import { parseProtocol } from '../input/protocol.js'
import { prefixArgument, wholeNumber } from '../input/values.js'

/** What narrows stored flows and live ones alike. */
export interface FilterOptions {
  host?: string
  src?: string
  dst?: string
  proto?: number
  port?: number
  agent?: string
}

export function filterOptions(command: Command): Command {
  return command
    .option('--host <prefix>', 'address or prefix, on either side', prefixArgument)
    .option('--src <prefix>', 'from this address or prefix', prefixArgument)
    .option('--dst <prefix>', 'to this address or prefix', prefixArgument)
    .option('-p, --proto <protocol>', 'name or number: tcp, udp, icmp, icmpv6, gre, 47, …', parseProtocol)
    .option('--port <number>', 'port, on either side', wholeNumber('--port', 1, 65_535))
    .option('--agent <id>', 'counted by this agent')
}

export function flowFilter({
  host = '',
  src = '',
  dst = '',
  proto = 0,
  port = 0,
  agent = '',
}: FilterOptions) {
  return { host, src, dst, protocol: proto, port, agent }
}
