// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs'
import { release } from 'node:os'
import { FlowdamError } from '@flowdam/common'
import type { Pointer } from './libbpf.js'
import * as libbpf from './libbpf.js'
import { isUntriedKernel, OLDEST_TRIED_KERNEL } from './requirements.js'
import { type MappedRange, SharedMap } from './shared-map.js'
import { type TestRun, type TestRunOptions, testRun, testRunAsync } from './test-run.js'

/** Lines of libbpf's and the verifier's log in an error. */
const LOG_LINES = 40

/** A map of an object. Sizes may be set before the load; fd and memory are there after it. */
export class BpfMap {
  readonly name: string
  readonly #map: Pointer
  #shared: SharedMap | undefined

  constructor(map: Pointer) {
    this.#map = map
    this.name = libbpf.mapName(map)
  }

  get fd(): number {
    return libbpf.mapFd(this.#map)
  }
  get keySize(): number {
    return libbpf.mapKeySize(this.#map)
  }
  get valueSize(): number {
    return libbpf.mapValueSize(this.#map)
  }
  get maxEntries(): number {
    return libbpf.mapMaxEntries(this.#map)
  }

  setMaxEntries(entries: number): void {
    check(libbpf.mapSetMaxEntries(this.#map, entries), `cannot give map ${this.name} ${entries} entries`)
  }

  /** false: the map is not made at load; for maps that a configuration does not need. */
  setAutocreate(create: boolean): void {
    check(libbpf.mapSetAutocreate(this.#map, create), `cannot leave out map ${this.name}`)
  }

  /** Before the load: use a map that is there already. FD_BPF_OBJECT. */
  reuse(fd: number): void {
    check(libbpf.mapReuseFd(this.#map, fd), `cannot use the pinned map ${this.name}`)
  }

  /** Before the load: the bytes of a global-data map, writable. */
  initialValue(): ArrayBuffer {
    const memory = libbpf.mapInitialValue(this.#map)
    if (!memory) throw new FlowdamError('FD_BPF_OBJECT', `map ${this.name} has no initial value`)
    return memory
  }

  /** After the load: SharedMap's, for an array map with BPF_F_MMAPABLE. */
  mapRange(byteOffset: number, size: number): MappedRange {
    return this.#memory().mapRange(byteOffset, size)
  }
  memory(): ArrayBuffer {
    return this.#memory().memory()
  }
  unmap(): void {
    this.#shared?.unmap()
  }

  #memory(): SharedMap {
    const stride = Math.ceil(this.valueSize / 8) * 8
    this.#shared ??= new SharedMap(this.name, this.fd, stride * this.maxEntries)
    return this.#shared
  }
}

/** A program of an object. */
export class BpfProgram {
  readonly name: string
  readonly section: string
  readonly #program: Pointer

  constructor(program: Pointer) {
    this.#program = program
    this.name = libbpf.programName(program)
    this.section = libbpf.programSection(program)
  }

  /** After the load, if it was chosen for it. */
  get fd(): number {
    return libbpf.programFd(this.#program)
  }
  get instructions(): number {
    return libbpf.programInstructions(this.#program)
  }

  /** Before the load: whether the load includes this program. */
  setAutoload(load: boolean): void {
    check(libbpf.programSetAutoload(this.#program, load), `cannot choose program ${this.name}`)
  }

  /** Runs a packet through the loaded program; see testRun. */
  testRun(packet: Uint8Array, options?: TestRunOptions): TestRun {
    return testRun(this.fd, this.name, packet, options)
  }

  testRunAsync(packet: Uint8Array, options?: TestRunOptions): Promise<TestRun> {
    return testRunAsync(this.fd, this.name, packet, options)
  }
}

/** A BPF object file: open, choose and size, load, use, close. */
export class BpfObject {
  readonly path: string
  readonly #object: Pointer
  readonly #maps = new Map<string, BpfMap>()
  readonly #programs = new Map<string, BpfProgram>()
  #closed = false

  /** FD_BPF_OBJECT_MISSING, FD_BPF_OBJECT, FD_LIBBPF_MISSING. */
  static open(path: string): BpfObject {
    if (!existsSync(path)) {
      throw new FlowdamError('FD_BPF_OBJECT_MISSING', `there is no BPF object at ${path}`, {
        remedy: 'build it with `npm run build:native`, or name it in the configuration as bpf_object',
      })
    }
    const { result, log } = libbpf.withMessages(() => libbpf.objectOpen(path))
    if (typeof result === 'number') {
      throw new FlowdamError(
        'FD_BPF_OBJECT',
        `libbpf ${libbpf.libbpfVersion()} cannot read ${path}: ${libbpf.errorName(result)}\n${tail(log)}`,
      )
    }
    return new BpfObject(path, result)
  }

  private constructor(path: string, object: Pointer) {
    this.path = path
    this.#object = object
    for (const pointer of libbpf.objectMaps(object)) {
      const map = new BpfMap(pointer)
      this.#maps.set(map.name, map)
    }
    for (const pointer of libbpf.objectPrograms(object)) {
      const program = new BpfProgram(pointer)
      this.#programs.set(program.name, program)
    }
  }

  get maps(): BpfMap[] {
    return [...this.#maps.values()]
  }
  get programs(): BpfProgram[] {
    return [...this.#programs.values()]
  }

  map(name: string): BpfMap {
    const map = this.#maps.get(name)
    if (!map) throw this.#lacks('map', name)
    return map
  }

  hasMap(name: string): boolean {
    return this.#maps.has(name)
  }

  program(name: string): BpfProgram {
    const program = this.#programs.get(name)
    if (!program) throw this.#lacks('program', name)
    return program
  }

  hasProgram(name: string): boolean {
    return this.#programs.has(name)
  }

  /** Loads only these programs; all when not called. */
  choosePrograms(names: readonly string[]): void {
    for (const name of names) this.program(name)
    for (const program of this.programs) program.setAutoload(names.includes(program.name))
  }

  /** Into the kernel. FD_BPF_REFUSED carries the verifier's log; FD_NOT_PERMITTED, FD_BPF_MEMORY. */
  load(): void {
    const { result, log } = libbpf.withMessages(() => libbpf.objectLoad(this.#object))
    if (result >= 0) return
    const name = libbpf.errorName(result)
    if (name === 'EPERM') {
      throw new FlowdamError('FD_NOT_PERMITTED', `the kernel refuses ${this.path}: EPERM\n${tail(log)}`, {
        remedy: 'run as root, or give the process CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON',
      })
    }
    if (name === 'ENOMEM') {
      throw new FlowdamError(
        'FD_BPF_MEMORY',
        `no kernel memory for the maps of ${this.path}: ${name}\n${tail(log)}`,
        {
          remedy:
            'lower flow_slots (64 bytes × 4 × CPUs each), or give the machine or its cgroup more memory',
        },
      )
    }
    throw new FlowdamError('FD_BPF_REFUSED', `the kernel refuses ${this.path}: ${name}\n${tail(log)}`, {
      remedy: isUntriedKernel()
        ? `use Linux ${OLDEST_TRIED_KERNEL} or newer: this version was not tried on ${release()}`
        : `tell the authors, with this message and \`uname -r\` (${release()})`,
    })
  }

  /** Frees everything; maps' memory may not be touched afterwards. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const map of this.maps) map.unmap()
    libbpf.objectClose(this.#object)
  }

  #lacks(kind: string, name: string): FlowdamError {
    return new FlowdamError('FD_BPF_OBJECT', `${this.path} has no ${kind} '${name}'`, {
      remedy: 'it is of another version; build it again with `npm run build:native`',
    })
  }
}

function check(status: number, what: string): void {
  if (status < 0) throw new FlowdamError('FD_BPF_OBJECT', `${what}: ${libbpf.errorName(status)}`)
}

/** The verifier's log can have megabytes; what it complains about is at its end. */
function tail(log: string): string {
  const lines = log.trim().split('\n')
  const dropped = lines.length - LOG_LINES
  return dropped > 0 ? [`… ${dropped} lines …`, ...lines.slice(dropped)].join('\n') : lines.join('\n')
}
