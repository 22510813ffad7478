// SPDX-License-Identifier: Apache-2.0
import { type ConfigFile, loadConfigFile, parseConfigText } from '@flowdam/common'
import { PolicySet } from '../detect/policies.js'
import { checkAggregatorConfig } from './check.js'
import { type AggregatorConfig, aggregatorSchema } from './schema.js'

/** Reads and checks aggregator.yaml. Throws FD_CONFIG_UNREADABLE or FD_CONFIG_INVALID with every complaint and its place. */
export function loadAggregatorConfig(file: string): AggregatorConfig {
  return checked(loadConfigFile(file, aggregatorSchema))
}

/** The same for text; `file` is only for messages. */
export function parseAggregatorConfig(file: string, text: string): AggregatorConfig {
  return checked(parseConfigText(file, text, aggregatorSchema))
}

function checked(loaded: ConfigFile<AggregatorConfig>): AggregatorConfig {
  const issues = checkAggregatorConfig(loaded.config)
  if (issues.length > 0) throw loaded.error(issues)
  return loaded.config
}

export function policiesOf(config: AggregatorConfig): PolicySet {
  return new PolicySet({
    networks: config.networks,
    thresholds: config.thresholds,
    hostgroups: config.hostgroups,
  })
}
