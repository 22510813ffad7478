// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import { EXIT, type ExitStatus } from './exit-status.js'

interface CommandErrorOptions {
  cause?: unknown
  remedy?: string
}

/** An error that ends the command with a certain exit status. */
export class CommandError extends FlowdamError {
  readonly exitStatus: ExitStatus

  constructor(
    exitStatus: ExitStatus,
    code: `FD_${string}`,
    message: string,
    options: CommandErrorOptions = {},
  ) {
    super(code, message, options)
    this.exitStatus = exitStatus
  }
}

/** What was typed cannot be right; no server was asked. */
export function usageError(message: string, remedy?: string): CommandError {
  return new CommandError(EXIT.usage, 'FD_USAGE', message, remedy === undefined ? {} : { remedy })
}

export function notFoundError(message: string, remedy?: string): CommandError {
  return new CommandError(EXIT.failed, 'FD_NOT_FOUND', message, remedy === undefined ? {} : { remedy })
}
