// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { FlowServiceServer } from '@flowdam/proto'
import type { FlowQueries } from '../flows/queries.js'
import type { TalkerQueries } from '../flows/talkers.js'
import { unary } from './status-error.js'
import { sendParts } from './watch.js'

export interface FlowAnswers {
  flows: FlowQueries
  talkers: TalkerQueries
}

export function flowService({ flows, talkers }: FlowAnswers, log: Logger): FlowServiceServer {
  return {
    queryFlows: unary(log, (request, call, signal) =>
      // Infinity where the caller set no deadline.
      flows.query(request, { withinMs: Number(call.getDeadline()) - Date.now(), signal }),
    ),
    topTalkers: unary(log, (request) => talkers.query(request)),
    streamFlows: (call) =>
      void sendParts(call, log, async function* (signal) {
        for await (const part of flows.stream(call.request, signal)) yield { flows: part }
      }),
  }
}
