// SPDX-License-Identifier: Apache-2.0
import { native } from './native.js'
import type { TestRunResult } from './types.js'

/** What BPF_PROG_TEST_RUN gets: the frame, how often, and struct xdp_md or __sk_buff to begin with. */
export interface TestRunInput {
  data: Uint8Array
  repeat: number
  context?: Uint8Array | undefined
}

function testRunOptions({ data, repeat, context }: TestRunInput) {
  const dataOut = Buffer.alloc(data.length + 256)
  const options = {
    sz: 80,
    data_in: data,
    data_out: dataOut,
    data_size_in: data.length,
    data_size_out: dataOut.length,
    ctx_in: context ?? null,
    ctx_out: null,
    ctx_size_in: context?.length ?? 0,
    ctx_size_out: 0,
    retval: 0,
    repeat,
    duration: 0,
    flags: 0,
    cpu: 0,
    batch_size: 0,
  }
  const result = (): TestRunResult => ({
    retval: options.retval,
    durationNs: options.duration,
    dataOut: dataOut.subarray(0, options.data_size_out),
  })
  return { options, result }
}

/** BPF_PROG_TEST_RUN of a loaded program. A negative error number if refused. */
export function programTestRun(programFd: number, input: TestRunInput): TestRunResult | number {
  const { options, result } = testRunOptions(input)
  const status = native().testRun(programFd, options)
  return status < 0 ? status : result()
}

/** The same on a thread of koffi's pool: several at once run on several CPUs. */
export function programTestRunAsync(programFd: number, input: TestRunInput): Promise<TestRunResult | number> {
  const { options, result } = testRunOptions(input)
  return new Promise((resolve, reject) =>
    native().testRun.async(programFd, options, (error, status) =>
      error ? reject(error) : resolve(status < 0 ? status : result()),
    ),
  )
}
