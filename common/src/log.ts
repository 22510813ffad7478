// SPDX-License-Identifier: Apache-2.0
import { destination, type Logger, pino } from 'pino'

export type { Logger }

/**
 * Structured log lines on stderr, so that stdout stays for output. Level from FLOWDAM_LOG (trace, debug, info,
 * warn, error, silent), default info. Secrets must never be passed in.
 */
export function createLogger(name: string): Logger {
  return pino(
    {
      name,
      level: process.env['FLOWDAM_LOG'] ?? 'info',
      base: { pid: process.pid },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ fd: 2, sync: true }),
  )
}
