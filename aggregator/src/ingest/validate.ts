// SPDX-License-Identifier: Apache-2.0
import { VERSION } from '@flowdam/common'
import {
  batchTrouble,
  deltasTrouble,
  type FlowBatch,
  type Heartbeat,
  type Hello,
  type HostDeltas,
  type InterfaceTable,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  streamVersionMismatch,
} from '@flowdam/proto'
import { status } from '@grpc/grpc-js'
import { invalid, Refusal } from './refusal.js'

const AGENT_ID = /^[A-Za-z0-9._-]{1,64}$/
const MAX_TEXT = 256
const REASON = /^[a-z_]{1,40}$/
const MAX_REASONS = 64
/** The kernel's three maps of rules hold 4096 each. */
const MAX_DROP_COUNTS = 12_288
/** "ffff:…:ffff/128". */
const MAX_PREFIX_TEXT = 64

/** Throws a Refusal. What passes is as ingest.proto says. */
export function checkHello(hello: Hello): void {
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    throw new Refusal(
      status.FAILED_PRECONDITION,
      `FD_PROTOCOL_VERSION: ${streamVersionMismatch(
        { software: hello.version, protocol: hello.protocolVersion },
        { software: VERSION, protocol: PROTOCOL_VERSION },
      )}`,
      'bad_hello',
    )
  }
  if (hello.recordSize !== RECORD_SIZE) {
    throw new Refusal(
      status.FAILED_PRECONDITION,
      `FD_RECORD_SIZE: the agent's flow records have ${hello.recordSize} bytes, this aggregator's ${RECORD_SIZE}; upgrade the older of the two`,
      'bad_hello',
    )
  }
  if (!AGENT_ID.test(hello.agentId)) {
    throw invalid('bad_hello', 'FD_AGENT_ID: agent_id must match [A-Za-z0-9._-]{1,64}')
  }
  if (hello.bootId < 1) throw invalid('bad_hello', 'FD_BOOT_ID: boot_id must be at least 1')
  for (const text of [hello.version, hello.hostname, hello.kernel]) {
    if (text.length > MAX_TEXT) throw invalid('bad_hello', `FD_HELLO: texts may have ${MAX_TEXT} characters`)
  }
  if (hello.interfaces) checkInterfaces(hello.interfaces)
}

export function checkInterfaces(table: InterfaceTable): void {
  const seen = new Set<number>()
  for (const { index, name, attachMode } of table.interfaces) {
    if (index > 127 || seen.has(index)) {
      throw invalid('bad_hello', `FD_INTERFACE: index ${index} is above 127 or given twice`)
    }
    if (name === '' || name.length > 64 || attachMode.length > 64) {
      throw invalid('bad_hello', `FD_INTERFACE: the name of interface ${index} must have 1-64 characters`)
    }
    seen.add(index)
  }
}

export function checkBatch(batch: FlowBatch): void {
  const trouble = batchTrouble(batch)
  if (!trouble) return
  const { bootId, seq } = batch
  throw invalid('bad_batch', `FD_BATCH: ${trouble}`, { kind: 'batch', bootId, seq })
}

/** It is kept until the next comes, and its reasons become labels. */
export function checkHeartbeat(heartbeat: Heartbeat): void {
  const { droppedRecords, droppedPackets, droppedBytes, dropped } = heartbeat
  for (const counts of [droppedRecords, droppedPackets, droppedBytes]) {
    const reasons = Object.keys(counts)
    if (reasons.length > MAX_REASONS || !reasons.every((reason) => REASON.test(reason))) {
      throw invalid('bad_heartbeat', `FD_HEARTBEAT: at most ${MAX_REASONS} reasons of drops, [a-z_]{1,40}`)
    }
  }
  if (dropped.length > MAX_DROP_COUNTS || dropped.some(({ prefix }) => prefix.length > MAX_PREFIX_TEXT)) {
    throw invalid('bad_heartbeat', `FD_HEARTBEAT: at most ${MAX_DROP_COUNTS} drop counts, each with a prefix`)
  }
}

export function checkDeltas(deltas: HostDeltas): void {
  const trouble = deltasTrouble(deltas)
  if (trouble) throw invalid('bad_deltas', `FD_DELTAS: ${trouble}`, { kind: 'deltas', seq: deltas.seq })
}
