// SPDX-License-Identifier: Apache-2.0

/** What the command's exit status tells a script; docs/command.md lists the same. */
export const EXIT = {
  ok: 0,
  /** The aggregator answered with an error, or what was asked for does not exist. `doctor`: a problem was found. */
  failed: 1,
  /** The command line could not be understood. */
  usage: 2,
  /** No aggregator could be reached, or the connection to it was lost. */
  unreachable: 3,
} as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]
