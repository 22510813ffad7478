// SPDX-License-Identifier: Apache-2.0
import { native, negativeErrno } from './native.js'
import type { Pointer } from './types.js'

const MAP_FAILED = 0xffff_ffff_ffff_ffffn
const ARRAY = 2
const ARRAY_OF_MAPS = 12
const F_MMAPABLE = 1024

const mapOptions = (options: { inner_map_fd?: number; map_flags?: number }) => ({
  sz: 48,
  btf_fd: 0,
  btf_key_type_id: 0,
  btf_value_type_id: 0,
  btf_vmlinux_value_type_id: 0,
  inner_map_fd: 0,
  map_flags: 0,
  map_extra: 0,
  numa_node: 0,
  map_ifindex: 0,
  ...options,
})

/** A one-slot array of maps with the type of `innerFd`; its fd or a negative error number. */
export function createArrayOfMaps(name: string, innerFd: number): number {
  return native().mapCreate(ARRAY_OF_MAPS, name, 4, 4, 1, mapOptions({ inner_map_fd: innerFd }))
}

/** A one-slot array for mmapShared: memory that outlives this process if it is pinned. Its fd or a negative error number. */
export function createSharedMemory(name: string, bytes: number): number {
  return native().mapCreate(ARRAY, name, 4, bytes, 1, mapOptions({ map_flags: F_MMAPABLE }))
}

export const mapUpdate = (fd: number, key: Uint8Array, value: Uint8Array, flags = 0): number =>
  native().mapUpdate(fd, key, value, flags)
export const mapLookup = (fd: number, key: Uint8Array, value: Uint8Array): number =>
  native().mapLookup(fd, key, value)
export const mapDelete = (fd: number, key: Uint8Array): number => native().mapDelete(fd, key)
export const mapNextKey = (fd: number, key: Uint8Array | null, next: Uint8Array): number =>
  native().mapNextKey(fd, key, next)
export const objectPin = (fd: number, path: string): number => native().objectPin(fd, path)
export const objectGet = (path: string): number => native().objectGet(path)

/** mapUpdate on a thread of koffi's pool: for maps whose update waits for running programs. */
export function mapUpdateAsync(fd: number, key: Uint8Array, value: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) =>
    native().mapUpdate.async(fd, key, value, 0, (error, status) => (error ? reject(error) : resolve(status))),
  )
}

/** Maps the memory of a map with BPF_F_MMAPABLE, shared, for reading and writing. */
export function mmapShared(
  fd: number,
  size: number,
  offset = 0,
): { at: Pointer; memory: ArrayBuffer } | number {
  const PROT_READ_WRITE = 3
  const MAP_SHARED = 1
  const at = native().mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, offset)
  if (at === null || at === MAP_FAILED) return negativeErrno()
  return { at, memory: native().koffi.view(at, size) }
}

/** Nobody may touch the memory's ArrayBuffer afterwards: that would end the process. */
export const munmap = (at: Pointer, size: number): number => native().munmap(at, size)
