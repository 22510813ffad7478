// SPDX-License-Identifier: Apache-2.0
import { ErrorInfo, RpcStatus } from '@flowdam/proto'
import { Metadata, type status } from '@grpc/grpc-js'

const DOMAIN = 'flowdam'
const TYPE = 'type.googleapis.com/google.rpc.'

/** A detail of google.rpc: its message's name and bytes. */
export type Detail = readonly [name: string, value: Uint8Array]

export interface ErrorDetails {
  code: status
  message: string
  /** FD_…, for programs. */
  reason: string
  /** Of ErrorInfo. */
  metadata: { [key: string]: string }
  others?: readonly Detail[]
}

/** google.rpc.Status with what programs act on, as gRPC sends it along with a status. */
export function errorDetails({ code, message, reason, metadata, others = [] }: ErrorDetails): Metadata {
  const info: Detail = [
    'ErrorInfo',
    ErrorInfo.encode(ErrorInfo.fromPartial({ reason, domain: DOMAIN, metadata })).finish(),
  ]
  const details = [info, ...others].map(([name, value]) => ({
    typeUrl: TYPE + name,
    value: Buffer.from(value),
  }))
  const trailers = new Metadata()
  trailers.set('grpc-status-details-bin', Buffer.from(RpcStatus.encode({ code, message, details }).finish()))
  return trailers
}
