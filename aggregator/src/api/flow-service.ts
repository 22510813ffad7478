// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { FlowServiceServer, QueryFlowsRequest, QueryFlowsResponse } from '@flowdam/proto'
import { unary } from './status-error.js'

export type QueryFlows = (request: QueryFlowsRequest) => Promise<QueryFlowsResponse>

export function flowService(queryFlows: QueryFlows, log: Logger): FlowServiceServer {
  return { queryFlows: unary(log, queryFlows) }
}
