// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { Config, Heartbeat, Hello, InterfaceTable, Rules } from '@flowdam/proto'
import type { BatchQueue } from './batch-queue.js'
import type { ConnectionTarget } from './connection.js'
import type { DeadLetters } from './dead-letters.js'
import type { DeltaSource } from './delta-sender.js'

export interface UplinkOptions {
  /** In order of preference. */
  targets: readonly ConnectionTarget[]
  queue: BatchQueue
  deltas: DeltaSource
  hello: () => Hello
  /** The newest number that was given to a batch of Hello's boot, by whichever process. */
  madeSeq: () => number
  /** The batches to come are numbered from here on. */
  numberFrom: (seq: number) => void
  interfaces: () => InterfaceTable
  heartbeat: () => Heartbeat
  config: (config: Config) => void
  rules: (rules: Rules) => void
  log: Logger
  /** Where host deltas are kept that no aggregator can take. */
  deadLetters?: DeadLetters | undefined
  /** Records a second on the wire, a backlog after an outage included. */
  exportRate: number
  /** For tests. */
  returnEveryMs?: number
}
