// SPDX-License-Identifier: Apache-2.0
import type { Config } from '@flowdam/proto'
import type { AgentConfig } from './config.js'

/** How often the agent reports: what the aggregator says, else what its own file says. */
export type Pace = Pick<AgentConfig, 'detect_interval' | 'export_interval' | 'export_rate'>

/** The limits of agent.yaml hold for the aggregator, too. */
export function paceOf(file: Pace, told: Config | undefined): Pace {
  const { detectIntervalMs = 0, exportIntervalMs = 0, exportRate = 0 } = told?.pace ?? {}
  return {
    detect_interval: detectIntervalMs > 0 ? within(detectIntervalMs, 10, 10_000) : file.detect_interval,
    export_interval: exportIntervalMs > 0 ? within(exportIntervalMs, 100, 60_000) : file.export_interval,
    export_rate: exportRate > 0 ? Math.max(100, exportRate) : file.export_rate,
  }
}

function within(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}
