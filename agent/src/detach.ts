// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import type { AgentConfig } from './config.js'
import { pinsOf, removeFilters } from './counter.js'
import { ifNameToIndex } from './kernel/libbpf.js'
import { inspectPins } from './kernel/takeover.js'

/**
 * Takes away what an agent with keep_attached left: links, and with them the programs, and maps. Returns what it did,
 * in words. FD_AGENT_RUNNING.
 */
export function detach(config: AgentConfig): string {
  removeFilters(config, ifNameToIndex)
  const pins = pinsOf(config)
  if (!pins.exists) return `nothing is pinned at ${pins.root}`
  const { owner, packets } = inspectPins(pins)
  if (owner !== 0) {
    throw new FlowdamError('FD_AGENT_RUNNING', `agent process ${owner} uses ${pins.root}`, {
      remedy: 'stop it first',
    })
  }
  pins.remove('.')
  const lost = packets === 0 ? 'nothing was waiting there' : `${packets} packets counted there were not sent`
  return `detached, and removed ${pins.root}: ${lost}`
}
