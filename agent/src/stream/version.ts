// SPDX-License-Identifier: Apache-2.0
import { VERSION } from '@flowdam/common'
import { PROTOCOL_VERSION, streamVersionMismatch, type Welcome } from '@flowdam/proto'

export function understands(welcome: Welcome): boolean {
  return welcome.protocolVersion === PROTOCOL_VERSION
}

/** Why not. */
export function versionTrouble({ aggregatorVersion, protocolVersion }: Welcome): string {
  const aggregator = { software: aggregatorVersion, protocol: protocolVersion }
  return `FD_PROTOCOL_VERSION: ${streamVersionMismatch({ software: VERSION, protocol: PROTOCOL_VERSION }, aggregator)}`
}
