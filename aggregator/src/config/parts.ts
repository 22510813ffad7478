// SPDX-License-Identifier: Apache-2.0
import type { Config as AgentConfig } from '@flowdam/proto'
import type { Hook } from '../hooks/hook.js'
import type { AggregatorConfig } from './schema.js'

/** What agents are told. */
export function agentConfigOf(config: AggregatorConfig): AgentConfig {
  return {
    networks: config.networks.map((prefix) => prefix.text),
    exemptRemote: config.exempt_remote.map((prefix) => prefix.text),
    pace: {
      detectIntervalMs: config.agents.detect_interval ?? 0,
      exportIntervalMs: config.agents.export_interval ?? 0,
      exportRate: config.agents.export_rate ?? 0,
    },
  }
}

/** The hooks as the runner has them. */
export function hooksOf(config: AggregatorConfig): Hook[] {
  return config.hooks.map(
    ({ name, run = [], url, format, timeout, retries, backoff, updates = 0, ...rest }) => ({
      name,
      run,
      url,
      headers: rest.headers,
      format,
      timeoutMs: timeout,
      retries,
      backoffMs: backoff,
      retryEveryMs: rest.retry_every ?? 0,
      updatesMs: updates,
      env: rest.env,
    }),
  )
}
