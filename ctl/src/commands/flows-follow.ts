// SPDX-License-Identifier: Apache-2.0
import { untilInterrupted } from '../interrupt.js'
import { liveFlowColumns } from '../output/flow.js'
import { RunningTable } from '../output/table.js'
import { formatCount } from '../output/units.js'
import type { Session } from '../session.js'
import { type FilterOptions, flowFilter } from './flow-filter.js'

/** Flows as they arrive, until Ctrl-C or `limit` of them; 0 for no limit. */
export function followFlows(session: Session, options: FilterOptions, limit: number): Promise<void> {
  return untilInterrupted(async (signal) => {
    const { client } = session
    const request = { ...flowFilter(options), limit }
    const table = new RunningTable(liveFlowColumns())
    const onTerminal = session.terminal.isTty && !session.json
    let shown = 0
    let first = true
    for await (const { flows, missed } of client.watch(
      (metadata) => client.flows.watchFlows(request, metadata),
      signal,
    )) {
      if (first && onTerminal) session.note('flows as they arrive; agents send theirs every few seconds\n')
      first = false
      if (session.json) {
        for (const flow of flows) session.writeJsonLine(flow)
        if (missed > 0) session.writeJsonLine({ missed })
      } else {
        if (flows.length > 0) session.write(table.render(flows, session.terminal, session.rows - 1))
        if (missed > 0) session.note(`${formatCount(missed)} more flows matched; too many to show\n`)
      }
      shown += flows.length
      if (limit > 0 && shown >= limit) return
    }
    if (onTerminal) session.write('\n')
  })
}
