// SPDX-License-Identifier: Apache-2.0
//
// How an aggregator names the message for which it ends a stream (ingest.proto, IngestService): google.rpc.ErrorInfo in
// the status, as in the API. Without it an agent could only send the same message again, for ever.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { ErrorInfo } from './gen/google/rpc/error_details.js'
import { Status } from './gen/google/rpc/status.js'
import { isNumber } from './stream-rules.js'

/** A message of an agent's stream that can be told from others. */
export type RefusedMessage =
  | { readonly kind: 'batch'; readonly bootId: number; readonly seq: number }
  | { readonly kind: 'deltas'; readonly seq: number }

/** Fields of StreamRequest, FlowBatch and HostDeltas. */
const Field = { hostDeltas: 3, flowBatch: 4, batchBoot: 1, batchSeq: 2, deltasSeq: 1 } as const

/** ErrorInfo.metadata. */
export function refusedMetadata(message: RefusedMessage): { [key: string]: string } {
  if (message.kind === 'deltas') return { deltas_seq: String(message.seq) }
  return { boot_id: String(message.bootId), seq: String(message.seq) }
}

/** Which message a status (grpc-status-details-bin) is about, if it is about one. */
export function readRefused(statusDetails: Uint8Array): RefusedMessage | undefined {
  try {
    for (const { typeUrl, value } of Status.decode(statusDetails).details) {
      if (!typeUrl.endsWith('/google.rpc.ErrorInfo')) continue
      const { metadata } = ErrorInfo.decode(value)
      return named(metadata['boot_id'], metadata['seq'], metadata['deltas_seq'])
    }
  } catch {
    // Another's details.
  }
  return undefined
}

/** The name of a StreamRequest that protobuf cannot read as a whole, if that much can be read. */
export function nameOfUnreadable(request: Uint8Array): RefusedMessage | undefined {
  const outer = new BinaryReader(request)
  try {
    while (outer.pos < outer.len) {
      const [field, type] = outer.tag()
      if (type === WireType.LengthDelimited && field === Field.flowBatch) {
        const { [Field.batchBoot]: bootId, [Field.batchSeq]: seq } = numbers(beginning(request, outer))
        return named(bootId, seq, undefined)
      }
      if (type === WireType.LengthDelimited && field === Field.hostDeltas) {
        return named(undefined, undefined, numbers(beginning(request, outer))[Field.deltasSeq])
      }
      outer.skip(type, field)
    }
  } catch {
    // Nothing more can be read.
  }
  return undefined
}

/** What there is of the message that begins here. */
function beginning(request: Uint8Array, reader: BinaryReader): Uint8Array {
  const length = reader.uint32()
  return request.subarray(reader.pos, reader.pos + length)
}

/** Varint fields of a message up to where it is damaged. */
function numbers(message: Uint8Array): Record<number, string> {
  const reader = new BinaryReader(message)
  const found: Record<number, string> = {}
  try {
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (type === WireType.Varint) found[field] ??= String(reader.uint64())
      else reader.skip(type, field)
    }
  } catch {
    // What was found until here counts.
  }
  return found
}

function named(
  boot: string | undefined,
  seq: string | undefined,
  deltas: string | undefined,
): RefusedMessage | undefined {
  const [bootId, batchSeq, deltasSeq] = [Number(boot), Number(seq), Number(deltas)]
  if (isNumber(bootId) && isNumber(batchSeq)) return { kind: 'batch', bootId, seq: batchSeq }
  return isNumber(deltasSeq) ? { kind: 'deltas', seq: deltasSeq } : undefined
}
