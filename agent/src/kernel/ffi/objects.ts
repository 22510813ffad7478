// SPDX-License-Identifier: Apache-2.0
import { native, negativeErrno } from './native.js'
import type { Pointer } from './types.js'

/** A BPF object file, parsed but not loaded; a negative error number if libbpf refused it. */
export function objectOpen(path: string): Pointer | number {
  return native().open(path) ?? negativeErrno()
}

export const objectLoad = (object: Pointer): number => native().load(object)
export const objectClose = (object: Pointer): void => native().close(object)

/** Maps or programs of an object in file order. */
export function objectMaps(object: Pointer): Pointer[] {
  return walk((last) => native().nextMap(object, last))
}

export function objectPrograms(object: Pointer): Pointer[] {
  return walk((last) => native().nextProgram(object, last))
}

function walk(next: (last: Pointer | null) => Pointer | null): Pointer[] {
  const found: Pointer[] = []
  for (let item = next(null); item !== null; item = next(item)) found.push(item)
  return found
}

/** By name; libbpf also knows special sections such as `.rodata.settings` by theirs. */
export const findMap = (object: Pointer, name: string): Pointer | null => native().findMap(object, name)
export const mapName = (map: Pointer): string => native().mapName(map)
export const mapFd = (map: Pointer): number => native().mapFd(map)
export const mapKeySize = (map: Pointer): number => native().mapKeySize(map)
export const mapValueSize = (map: Pointer): number => native().mapValueSize(map)
export const mapMaxEntries = (map: Pointer): number => native().mapMaxEntries(map)
export const mapSetMaxEntries = (map: Pointer, entries: number): number =>
  native().mapSetMaxEntries(map, entries)
export const mapSetAutocreate = (map: Pointer, create: boolean): number =>
  native().mapSetAutocreate(map, create)

/** Before the load: the object shall use this map instead of making one. The fd stays the caller's. */
export const mapReuseFd = (map: Pointer, fd: number): number => native().mapReuseFd(map, fd)

/** Writable until the object is loaded: the initial bytes of a global-data map. */
export function mapInitialValue(map: Pointer): ArrayBuffer | undefined {
  const size: [number] = [0]
  const at = native().mapInitialValue(map, size)
  return at === null ? undefined : native().koffi.view(at, size[0])
}

export const programName = (program: Pointer): string => native().programName(program)
export const programSection = (program: Pointer): string => native().programSection(program)
export const programFd = (program: Pointer): number => native().programFd(program)
export const programInstructions = (program: Pointer): number => native().programInstructions(program)
export const programSetAutoload = (program: Pointer, load: boolean): number =>
  native().programSetAutoload(program, load)
