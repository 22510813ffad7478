// SPDX-License-Identifier: Apache-2.0

/** One end of the stream. */
export interface StreamEnd {
  /** Its software's version, for people; whatever the other side said. */
  software: string
  protocol: number
}

/** What either side says when the two cannot understand each other; the numbers say which one to upgrade. */
export function streamVersionMismatch(agent: StreamEnd, aggregator: StreamEnd): string {
  const older = agent.protocol < aggregator.protocol ? 'agent' : 'aggregator'
  return `the agent (${shorten(agent.software)}) speaks version ${agent.protocol} of the stream, the aggregator (${shorten(aggregator.software)}) version ${aggregator.protocol}; upgrade the ${older}`
}

/** It came over the network and goes into logs. */
function shorten(software: string): string {
  const plain = software.replace(/[^\x20-\x7e]/g, '').slice(0, 32)
  return plain === '' ? 'unknown' : plain
}
