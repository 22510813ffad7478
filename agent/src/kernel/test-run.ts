// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import { errorName, programTestRun, programTestRunAsync, type TestRunResult } from './libbpf.js'

export interface TestRun {
  /** What the program returned: XDP_DROP 1, XDP_PASS 2, TC_ACT_OK 0, TC_ACT_UNSPEC -1 as 4294967295. */
  retval: number
  /** Average time of one run in nanoseconds, as the kernel measured it. */
  durationNs: number
  /** The packet as the program left it. */
  dataOut: Buffer
}

export interface TestRunOptions {
  /** How often the packet goes through the program in one call. */
  repeat?: number
  /** struct xdp_md or __sk_buff to begin with; most fields may not be set. */
  context?: Uint8Array
}

/**
 * BPF_PROG_TEST_RUN: runs a loaded program on a packet (from the Ethernet header on) without any interface. The
 * program sees ifindex 1 (lo) of this network namespace. Blocks for repeat × duration. FD_BPF_TEST_RUN.
 */
export function testRun(
  programFd: number,
  name: string,
  data: Uint8Array,
  { repeat = 1, context }: TestRunOptions = {},
): TestRun {
  return checked(name, programTestRun(programFd, { data, repeat, context }))
}

/** testRun that does not block: two at once run on two CPUs, while this thread goes on. */
export async function testRunAsync(
  programFd: number,
  name: string,
  data: Uint8Array,
  { repeat = 1, context }: TestRunOptions = {},
): Promise<TestRun> {
  return checked(name, await programTestRunAsync(programFd, { data, repeat, context }))
}

function checked(name: string, result: TestRunResult | number): TestRun {
  if (typeof result === 'number') {
    throw new FlowdamError('FD_BPF_TEST_RUN', `cannot run program ${name}: ${errorName(result)}`)
  }
  return result
}
