// SPDX-License-Identifier: Apache-2.0
import { ConfigError, FlowdamError, type Logger } from '@flowdam/common'
import type { ConfigServiceServer, ValidateConfigResponse } from '@flowdam/proto'
import { stringify } from 'yaml'
import { parseAggregatorConfig } from '../config/load.js'
import { diffConfig, presentConfig } from '../config/present.js'
import type { AggregatorConfig } from '../config/schema.js'
import { unary } from './status-error.js'

/** The configuration in force, and where it came from. */
export interface ConfigInForce {
  readonly config: AggregatorConfig
  readonly file: string
  readonly loadedUnixMs: number
  /** Keys changed since that wait for a restart. */
  readonly needRestart: readonly string[]
  /** Those that would wait if this one were loaded. */
  wouldNeedRestart(config: AggregatorConfig): string[]
}

export function configService(inForce: () => ConfigInForce, log: Logger): ConfigServiceServer {
  return {
    getConfig: unary(log, () => {
      const { config, file, loadedUnixMs, needRestart } = inForce()
      const yaml = stringify(presentConfig(config, 'others'))
      return { yaml, file, loadedUnixMs, needRestart: [...needRestart] }
    }),
    validateConfig: unary(log, ({ yaml }) => validate(yaml, inForce())),
  }
}

function validate(yaml: string, inForce: ConfigInForce): ValidateConfigResponse {
  try {
    const config = parseAggregatorConfig('aggregator.yaml', yaml)
    return {
      valid: true,
      complaints: [],
      changes: diffConfig(inForce.config, config),
      needRestart: inForce.wouldNeedRestart(config),
    }
  } catch (error) {
    if (!FlowdamError.is(error)) throw error
    const complaints =
      error instanceof ConfigError
        ? [...error.complaints]
        : [{ line: 1, column: 1, path: '', message: `${error.code}: ${error.message}` }]
    return { valid: false, complaints, changes: [], needRestart: [] }
  }
}
