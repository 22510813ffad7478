// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { FlowServiceServer, WatchFlowsRequest, WatchFlowsResponse } from '@flowdam/proto'
import type { Deadline, ServerWritableStream } from '@grpc/grpc-js'
import { callerOf } from '../access/caller.js'
import type { LiveFlows } from '../flows/live/live-flows.js'
import type { FlowQueries } from '../flows/queries.js'
import type { TalkerQueries } from '../flows/talkers.js'
import type { Asker } from '../flows/turns.js'
import { statusError, unary } from './status-error.js'
import { sendParts } from './watch.js'

export interface FlowAnswers {
  flows: FlowQueries
  talkers: TalkerQueries
  live: LiveFlows
}

export function flowService({ flows, talkers, live }: FlowAnswers, log: Logger): FlowServiceServer {
  return {
    queryFlows: unary(log, (request, call, signal) => flows.query(request, askerOf(call, signal))),
    topTalkers: unary(log, (request, call, signal) => talkers.query(request, askerOf(call, signal))),
    streamFlows: (call) =>
      void sendParts(call, log, async function* (signal) {
        for await (const part of flows.stream(call.request, signal)) yield { flows: part }
      }),
    watchFlows: (call) => sendLive(call, live, log),
  }
}

type WatchCall = ServerWritableStream<WatchFlowsRequest, WatchFlowsResponse>

/** One message is under way at a time, so that a caller who does not read costs no memory. */
function sendLive(call: WatchCall, live: LiveFlows, log: Logger): void {
  let left = call.request.limit || Number.POSITIVE_INFINITY
  let stop = () => {}
  const take = ({ flows, missed }: WatchFlowsResponse) =>
    new Promise<void>((resolve) => {
      const given = flows.slice(0, left)
      left -= given.length
      // What comes behind the last one wanted is missed by nobody.
      call.write({ flows: given, missed: left > 0 ? missed : 0 }, () => resolve())
      if (left > 0) return
      stop()
      call.end()
    })
  for (const name of ['cancelled', 'close', 'error'] as const) call.on(name, () => stop())
  try {
    stop = live.watch(call.request, callerOf(call.metadata).by, take)
    if (call.cancelled) stop()
  } catch (error) {
    call.emit('error', statusError(error, log))
  }
}

function askerOf(call: { getDeadline(): Deadline }, signal: AbortSignal): Asker {
  // Infinity where the caller set no deadline.
  return { withinMs: Number(call.getDeadline()) - Date.now(), signal }
}
