// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type {
  FlowServiceServer,
  QueryFlowsRequest,
  QueryFlowsResponse,
  TopTalkersRequest,
  TopTalkersResponse,
} from '@flowdam/proto'
import { unary } from './status-error.js'

export interface FlowAnswers {
  flows: { query(request: QueryFlowsRequest): Promise<QueryFlowsResponse> }
  talkers: { query(request: TopTalkersRequest): Promise<TopTalkersResponse> }
}

export function flowService({ flows, talkers }: FlowAnswers, log: Logger): FlowServiceServer {
  return {
    queryFlows: unary(log, (request) => flows.query(request)),
    topTalkers: unary(log, (request) => talkers.query(request)),
  }
}
