// SPDX-License-Identifier: Apache-2.0
//
// What FastNetMon Community's gRPC service looks like on the wire, for fastnetmon_api_client and its like: three calls,
// messages of one string or none. The service has two names: up to 1.2.4 the package is `fastmitigation`, later
// `fastnetmoninternal`. Written by hand, since a .proto would put it into our own API's reflection and reference.
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'

/** BanListReply and ExecuteBanRequest. */
export interface FastNetMonAddress {
  ipAddress: string
}

/** ExecuteBanReply. */
export interface FastNetMonResult {
  result: boolean
}

export const FASTNETMON_PACKAGES = ['fastmitigation', 'fastnetmoninternal'] as const
export type FastNetMonPackage = (typeof FASTNETMON_PACKAGES)[number]

export interface FastNetMonDefinition extends ServiceDefinition {
  getBanlist: MethodDefinition<object, FastNetMonAddress>
  executeBan: MethodDefinition<FastNetMonAddress, FastNetMonResult>
  executeUnBan: MethodDefinition<FastNetMonAddress, FastNetMonResult>
}

export function fastNetMonService(name: FastNetMonPackage): FastNetMonDefinition {
  const path = (method: string) => `/${name}.Fastnetmon/${method}`
  const unary = (method: string): MethodDefinition<FastNetMonAddress, FastNetMonResult> => ({
    path: path(method),
    requestStream: false,
    responseStream: false,
    requestSerialize: writeAddress,
    requestDeserialize: readAddress,
    responseSerialize: writeResult,
    responseDeserialize: readResult,
  })
  return {
    getBanlist: {
      path: path('GetBanlist'),
      requestStream: false,
      responseStream: true,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: () => ({}),
      responseSerialize: writeAddress,
      responseDeserialize: readAddress,
    },
    executeBan: unary('ExecuteBan'),
    executeUnBan: unary('ExecuteUnBan'),
  }
}

/** Both messages have one field, number 1; what else is there is skipped. */
const FIELD = 1
const VARINT = 0
const LENGTH_DELIMITED = 2

function writeAddress({ ipAddress }: FastNetMonAddress): Buffer {
  const writer = new BinaryWriter()
  if (ipAddress !== '') writer.tag(FIELD, LENGTH_DELIMITED).string(ipAddress)
  return Buffer.from(writer.finish())
}

function readAddress(bytes: Uint8Array): FastNetMonAddress {
  const message = { ipAddress: '' }
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field === FIELD && type === LENGTH_DELIMITED) message.ipAddress = reader.string()
    else reader.skip(type, field)
  }
  return message
}

function writeResult({ result }: FastNetMonResult): Buffer {
  const writer = new BinaryWriter()
  if (result) writer.tag(FIELD, VARINT).bool(result)
  return Buffer.from(writer.finish())
}

function readResult(bytes: Uint8Array): FastNetMonResult {
  const message = { result: false }
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field === FIELD && type === VARINT) message.result = reader.bool()
    else reader.skip(type, field)
  }
  return message
}
