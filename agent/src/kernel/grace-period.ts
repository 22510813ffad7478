// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import * as libbpf from './libbpf.js'

/**
 * Waits until no program can still be writing to the epoch that was current before: an RCU grace period, 4-8 ms,
 * more under full load. Always on koffi's own threads, never on the event loop.
 */
export interface GracePeriod {
  readonly by: string
  wait(): Promise<void>
  close(): void
}

/**
 * MEMBARRIER_CMD_GLOBAL, which is synchronize_rcu(). A kernel with nohz_full does not have it; there, the update of
 * a map of maps from user space waits for the same (maybe_wait_bpf_programs in kernel/bpf/syscall.c).
 */
export function gracePeriod(anyMapFd: number): GracePeriod {
  const commands = libbpf.membarrierQuery()
  if (commands > 0 && (commands & libbpf.Membarrier.global) !== 0) return new MembarrierGrace()
  return new MapOfMapsGrace(anyMapFd)
}

export class MembarrierGrace implements GracePeriod {
  readonly by = 'membarrier'

  async wait(): Promise<void> {
    if ((await libbpf.membarrierGlobal()) < 0) throw failed('membarrier(MEMBARRIER_CMD_GLOBAL) failed')
  }

  close(): void {}
}

export class MapOfMapsGrace implements GracePeriod {
  readonly by = 'map of maps'
  readonly #innerFd: number
  #fd = -1

  constructor(innerFd: number) {
    this.#innerFd = innerFd
  }

  async wait(): Promise<void> {
    if (this.#fd < 0) {
      this.#fd = libbpf.createArrayOfMaps('fd_grace', this.#innerFd)
      if (this.#fd < 0) throw failed(`cannot make a map of maps: ${libbpf.errorName(this.#fd)}`)
    }
    const key = new Uint8Array(4)
    const value = new Uint8Array(new Uint32Array([this.#innerFd]).buffer)
    const status = await libbpf.mapUpdateAsync(this.#fd, key, value)
    if (status < 0) throw failed(`cannot update a map of maps: ${libbpf.errorName(status)}`)
  }

  close(): void {
    if (this.#fd >= 0) libbpf.closeFd(this.#fd)
    this.#fd = -1
  }
}

function failed(message: string): FlowdamError {
  return new FlowdamError('FD_GRACE_PERIOD', message)
}
