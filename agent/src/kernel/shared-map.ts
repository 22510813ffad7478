// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import type { Pointer } from './libbpf.js'
import * as libbpf from './libbpf.js'

/** Memory of a map, shared with the kernel. Nobody may touch it after unmap. */
export interface MappedRange {
  buffer: ArrayBuffer
  byteOffset: number
  unmap: () => void
}

/** The kernel's own memory of an array map with BPF_F_MMAPABLE. */
export class SharedMap {
  readonly name: string
  readonly fd: number
  readonly #bytes: number
  #whole: { at: Pointer; memory: ArrayBuffer } | undefined

  /** `bytes`: of all its values, each rounded up to 8. */
  constructor(name: string, fd: number, bytes: number) {
    this.name = name
    this.fd = fd
    this.#bytes = bytes
  }

  /** A part, to be unmapped when done: a mapped page counts as resident whether it is touched or not. FD_BPF_MMAP. */
  mapRange(byteOffset: number, size: number): MappedRange {
    const { at, memory } = this.#mmap(size, byteOffset)
    return { buffer: memory, byteOffset: 0, unmap: () => void libbpf.munmap(at, size) }
  }

  /** All of it, mapped once. FD_BPF_MMAP. */
  memory(): ArrayBuffer {
    this.#whole ??= this.#mmap(this.#bytes, 0)
    return this.#whole.memory
  }

  /** Gives `memory` back; nobody may touch its ArrayBuffer afterwards. */
  unmap(): void {
    if (this.#whole) libbpf.munmap(this.#whole.at, this.#bytes)
    this.#whole = undefined
  }

  #mmap(size: number, byteOffset: number) {
    const mapped = libbpf.mmapShared(this.fd, size, byteOffset)
    if (typeof mapped !== 'number') return mapped
    const error = libbpf.errorName(mapped)
    throw new FlowdamError('FD_BPF_MMAP', `cannot map ${size} bytes of map ${this.name}: ${error}`)
  }
}
