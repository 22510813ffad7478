// SPDX-License-Identifier: Apache-2.0
/** An address in native memory. */
export type Pointer = bigint

/** bpf_attach_type of linux/bpf.h. */
export const AttachType = { xdp: 37, tcxEgress: 47 } as const
/** XDP_FLAGS_ of linux/if_link.h. */
export const XdpFlag = { skb: 2, driver: 4 } as const
/** bpf_tc_attach_point of bpf/libbpf.h. */
export const TcPoint = { ingress: 1, egress: 2 } as const

/** MEMBARRIER_CMD_ of linux/membarrier.h. */
export const Membarrier = { query: 0, global: 1 } as const

export interface XdpState {
  /** Program in the driver (native) or 0. */
  driverId: number
  /** Program in the generic hook or 0. */
  genericId: number
}

export interface TestRunResult {
  retval: number
  /** Average of one run, nanoseconds; whole numbers only. */
  durationNs: number
  dataOut: Buffer
}

export interface TcFilter {
  handle: number
  priority: number
}
