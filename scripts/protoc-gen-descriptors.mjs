#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// A plugin of `buf generate`: our .proto files as the compiler understood them (FileDescriptorProto, without comments),
// for the aggregator's reflection service. What protobufjs makes of the same files is refused by other languages: its
// map fields have no entry types.
import { readFileSync } from 'node:fs'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'

// Field numbers of google/protobuf/compiler/plugin.proto and descriptor.proto.
const REQUEST_PROTO_FILE = 15
const RESPONSE_FEATURES = 2
const RESPONSE_FILE = 15
const FILE_NAME = 1
const FILE_CONTENT = 15
const DESCRIPTOR_SOURCE_INFO = 9
const FEATURE_PROTO3_OPTIONAL = 1

const descriptors = fields(readFileSync(0))
  .filter(({ number }) => number === REQUEST_PROTO_FILE)
  .map(({ bytes }) => withoutComments(bytes()).toString('base64'))
const content = `// SPDX-License-Identifier: Apache-2.0

/** FileDescriptorProto of each .proto file, in an order in which each comes after those that it needs. */
export const FILE_DESCRIPTORS: readonly string[] = ${JSON.stringify(descriptors, undefined, 2)}
`
const file = new BinaryWriter()
  .tag(FILE_NAME, 2)
  .string('descriptors.ts')
  .tag(FILE_CONTENT, 2)
  .string(content)
process.stdout.write(
  new BinaryWriter()
    .tag(RESPONSE_FEATURES, 0)
    .uint64(FEATURE_PROTO3_OPTIONAL)
    .tag(RESPONSE_FILE, 2)
    .bytes(file.finish())
    .finish(),
)

/** The fields of a message as they lie in it: `raw` with the tag, `bytes` the value of one with a length. */
function fields(message) {
  const reader = new BinaryReader(message)
  const found = []
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, type] = reader.tag()
    const value = reader.pos
    reader.skip(type, number)
    const end = reader.pos
    found.push({
      number,
      raw: message.subarray(start, end),
      bytes: () => new BinaryReader(message.subarray(value, end)).bytes(),
    })
  }
  return found
}

function withoutComments(descriptor) {
  return Buffer.concat(
    fields(descriptor)
      .filter(({ number }) => number !== DESCRIPTOR_SOURCE_INFO)
      .map(({ raw }) => raw),
  )
}
