// SPDX-License-Identifier: Apache-2.0
import { createLogger, type Logger } from '@flowdam/common'

/** A logger that says nothing. */
export function quietLog(): Logger {
  const log = createLogger('test')
  log.level = 'silent'
  return log
}
