// SPDX-License-Identifier: Apache-2.0
//
// The only module that knows about FFI: koffi bindings to libbpf.so.1 and the few calls of libc that Node lacks.
// Everything else sees the typed functions at the end, so that node:ffi can replace koffi in this file alone.
//
// koffi traps (measured with 3.3.4): pointers are BigInt, a null one is null; errno is only valid right after a
// synchronous call, so functions here return negative error numbers; koffi must stay out of worker_threads.
import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import { FlowdamError } from '@flowdam/common'
import type { KoffiFunc, LibraryHandle } from 'koffi'

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

const nodeRequire = createRequire(import.meta.url)
const MAP_FAILED = 0xffff_ffff_ffff_ffffn
const ARRAY = 2
const ARRAY_OF_MAPS = 12
const F_MMAPABLE = 1024
const CLOCK_MONOTONIC_COARSE = 6
/** Numbers differ by architecture; glibc has no wrapper for membarrier. */
const MEMBARRIER_SYSCALL: Record<string, number> = { x64: 324, arm64: 283 }
/** Room for one message of libbpf; the verifier's log is one message. */
const MESSAGE_BYTES = 4 << 20

type Int = (...args: never[]) => number
type Call<T extends Int | ((...args: never[]) => unknown)> = KoffiFunc<T>
type Koffi = typeof import('koffi')

function bind() {
  const koffi = nodeRequire('koffi') as Koffi
  const libc = koffi.load('libc.so.6')
  let lib: LibraryHandle
  try {
    lib = koffi.load('libbpf.so.1')
  } catch (cause) {
    throw new FlowdamError('FD_LIBBPF_MISSING', 'libbpf.so.1 cannot be loaded', {
      cause,
      remedy: 'install it: apt-get install libbpf1 (Debian, Ubuntu), dnf install libbpf (Fedora, RHEL)',
    })
  }
  koffi.struct('fd_link_create_opts', {
    sz: 'size_t',
    flags: 'uint32_t',
    iter_info: 'void *',
    iter_info_len: 'uint32_t',
    target_btf_id: 'uint32_t',
  })
  koffi.struct('fd_xdp_query_opts', {
    sz: 'size_t',
    prog_id: 'uint32_t',
    drv_prog_id: 'uint32_t',
    hw_prog_id: 'uint32_t',
    skb_prog_id: 'uint32_t',
    attach_mode: 'uint8_t',
  })
  koffi.struct('fd_tc_hook', {
    sz: 'size_t',
    ifindex: 'int',
    attach_point: 'int',
    parent: 'uint32_t',
  })
  koffi.struct('fd_tc_opts', {
    sz: 'size_t',
    prog_fd: 'int',
    flags: 'uint32_t',
    prog_id: 'uint32_t',
    handle: 'uint32_t',
    priority: 'uint32_t',
  })
  koffi.struct('fd_test_run_opts', {
    sz: 'size_t',
    data_in: 'void *',
    data_out: 'void *',
    data_size_in: 'uint32_t',
    data_size_out: 'uint32_t',
    ctx_in: 'void *',
    ctx_out: 'void *',
    ctx_size_in: 'uint32_t',
    ctx_size_out: 'uint32_t',
    retval: 'uint32_t',
    repeat: 'int',
    duration: 'uint32_t',
    flags: 'uint32_t',
    cpu: 'uint32_t',
    batch_size: 'uint32_t',
  })
  koffi.struct('fd_map_create_opts', {
    sz: 'size_t',
    btf_fd: 'uint32_t',
    btf_key_type_id: 'uint32_t',
    btf_value_type_id: 'uint32_t',
    btf_vmlinux_value_type_id: 'uint32_t',
    inner_map_fd: 'uint32_t',
    map_flags: 'uint32_t',
    map_extra: 'uint64_t',
    numa_node: 'uint32_t',
    map_ifindex: 'uint32_t',
  })
  koffi.struct('fd_ifreq', {
    name: koffi.array('uint8_t', 16),
    data: 'void *',
    unused: koffi.array('uint8_t', 16),
  })
  koffi.struct('fd_timespec', { sec: 'int64_t', nsec: 'int64_t' })
  const printProto = koffi.proto('int fd_print(int level, const char *format, void *arguments)')

  const func = <T extends (...args: never[]) => unknown>(from: LibraryHandle, text: string) =>
    from.func(text) as unknown as Call<T>
  return {
    koffi,
    printProto,
    open: func<(path: string) => Pointer | null>(lib, 'void *bpf_object__open(const char *path)'),
    load: func<(object: Pointer) => number>(lib, 'int bpf_object__load(void *obj)'),
    close: func<(object: Pointer) => void>(lib, 'void bpf_object__close(void *obj)'),
    nextMap: func<(object: Pointer, map: Pointer | null) => Pointer | null>(
      lib,
      'void *bpf_object__next_map(void *obj, void *map)',
    ),
    findMap: func<(object: Pointer, name: string) => Pointer | null>(
      lib,
      'void *bpf_object__find_map_by_name(void *obj, const char *name)',
    ),
    mapName: func<(map: Pointer) => string>(lib, 'const char *bpf_map__name(void *map)'),
    mapFd: func<(map: Pointer) => number>(lib, 'int bpf_map__fd(void *map)'),
    mapValueSize: func<(map: Pointer) => number>(lib, 'uint32_t bpf_map__value_size(void *map)'),
    mapKeySize: func<(map: Pointer) => number>(lib, 'uint32_t bpf_map__key_size(void *map)'),
    mapMaxEntries: func<(map: Pointer) => number>(lib, 'uint32_t bpf_map__max_entries(void *map)'),
    mapSetMaxEntries: func<(map: Pointer, entries: number) => number>(
      lib,
      'int bpf_map__set_max_entries(void *map, uint32_t n)',
    ),
    mapSetAutocreate: func<(map: Pointer, create: boolean) => number>(
      lib,
      'int bpf_map__set_autocreate(void *map, bool create)',
    ),
    mapReuseFd: func<(map: Pointer, fd: number) => number>(lib, 'int bpf_map__reuse_fd(void *map, int fd)'),
    mapInitialValue: func<(map: Pointer, size: [number]) => Pointer | null>(
      lib,
      'void *bpf_map__initial_value(void *map, _Out_ size_t *size)',
    ),
    nextProgram: func<(object: Pointer, program: Pointer | null) => Pointer | null>(
      lib,
      'void *bpf_object__next_program(void *obj, void *prog)',
    ),
    programName: func<(program: Pointer) => string>(lib, 'const char *bpf_program__name(void *prog)'),
    programSection: func<(program: Pointer) => string>(
      lib,
      'const char *bpf_program__section_name(void *prog)',
    ),
    programFd: func<(program: Pointer) => number>(lib, 'int bpf_program__fd(void *prog)'),
    programInstructions: func<(program: Pointer) => number>(lib, 'size_t bpf_program__insn_cnt(void *prog)'),
    programSetAutoload: func<(program: Pointer, load: boolean) => number>(
      lib,
      'int bpf_program__set_autoload(void *prog, bool load)',
    ),
    linkCreate: func<(program: number, target: number, type: number, options: object) => number>(
      lib,
      'int bpf_link_create(int prog_fd, int target_fd, int type, fd_link_create_opts *opts)',
    ),
    linkUpdate: func<(link: number, program: number, options: null) => number>(
      lib,
      'int bpf_link_update(int link_fd, int prog_fd, void *opts)',
    ),
    xdpQuery: func<(ifindex: number, flags: number, options: object) => number>(
      lib,
      'int bpf_xdp_query(int ifindex, int flags, _Inout_ fd_xdp_query_opts *opts)',
    ),
    tcHookCreate: func<(hook: object) => number>(lib, 'int bpf_tc_hook_create(fd_tc_hook *hook)'),
    tcHookDestroy: func<(hook: object) => number>(lib, 'int bpf_tc_hook_destroy(fd_tc_hook *hook)'),
    tcAttach: func<(hook: object, options: object) => number>(
      lib,
      'int bpf_tc_attach(fd_tc_hook *hook, _Inout_ fd_tc_opts *opts)',
    ),
    tcDetach: func<(hook: object, options: object) => number>(
      lib,
      'int bpf_tc_detach(fd_tc_hook *hook, fd_tc_opts *opts)',
    ),
    tcQuery: func<(hook: object, options: object) => number>(
      lib,
      'int bpf_tc_query(fd_tc_hook *hook, _Inout_ fd_tc_opts *opts)',
    ),
    testRun: func<(program: number, options: object) => number>(
      lib,
      'int bpf_prog_test_run_opts(int prog_fd, _Inout_ fd_test_run_opts *opts)',
    ),
    programQuery: func<
      (
        target: number,
        type: number,
        flags: number,
        attached: null,
        ids: Uint32Array,
        count: [number],
      ) => number
    >(
      lib,
      'int bpf_prog_query(int target, int type, uint32_t flags, void *attached, _Out_ uint32_t *ids, _Inout_ uint32_t *count)',
    ),
    programFdById: func<(id: number) => number>(lib, 'int bpf_prog_get_fd_by_id(uint32_t id)'),
    infoByFd: func<(fd: number, info: Buffer, size: [number]) => number>(
      lib,
      'int bpf_obj_get_info_by_fd(int fd, _Out_ void *info, _Inout_ uint32_t *size)',
    ),
    mapCreate: func<
      (type: number, name: string, key: number, value: number, entries: number, options: object) => number
    >(
      lib,
      'int bpf_map_create(int type, const char *name, uint32_t key, uint32_t value, uint32_t n, fd_map_create_opts *opts)',
    ),
    mapUpdate: func<(fd: number, key: Uint8Array, value: Uint8Array, flags: number) => number>(
      lib,
      'int bpf_map_update_elem(int fd, void *key, void *value, uint64_t flags)',
    ),
    mapLookup: func<(fd: number, key: Uint8Array, value: Uint8Array) => number>(
      lib,
      'int bpf_map_lookup_elem(int fd, void *key, _Out_ void *value)',
    ),
    mapDelete: func<(fd: number, key: Uint8Array) => number>(
      lib,
      'int bpf_map_delete_elem(int fd, void *key)',
    ),
    mapNextKey: func<(fd: number, key: Uint8Array | null, next: Uint8Array) => number>(
      lib,
      'int bpf_map_get_next_key(int fd, void *key, _Out_ void *next)',
    ),
    objectPin: func<(fd: number, path: string) => number>(lib, 'int bpf_obj_pin(int fd, const char *path)'),
    objectGet: func<(path: string) => number>(lib, 'int bpf_obj_get(const char *path)'),
    setPrint: lib.func('libbpf_set_print', 'void *', [koffi.pointer(printProto)]) as unknown as (
      callback: Pointer,
    ) => Pointer | null,
    version: func<() => string>(lib, 'const char *libbpf_version_string()'),
    mmap: func<
      (at: null, size: number, access: number, flags: number, fd: number, offset: number) => Pointer | null
    >(libc, 'void *mmap(void *at, size_t size, int prot, int flags, int fd, int64_t offset)'),
    munmap: func<(at: Pointer, size: number) => number>(libc, 'int munmap(void *at, size_t size)'),
    closeFd: func<(fd: number) => number>(libc, 'int close(int fd)'),
    socket: func<(domain: number, type: number, protocol: number) => number>(
      libc,
      'int socket(int domain, int type, int protocol)',
    ),
    ioctl: func<(fd: number, request: number, argument: object) => number>(
      libc,
      'int ioctl(int fd, unsigned long request, fd_ifreq *argument)',
    ),
    ifNameToIndex: func<(name: string) => number>(libc, 'unsigned int if_nametoindex(const char *name)'),
    membarrier: func<(number: number, command: number, flags: number, cpu: number) => number>(
      libc,
      'long syscall(long number, int command, unsigned int flags, int cpu)',
    ),
    clockGettime: func<(clock: number, time: { sec?: number; nsec?: number }) => number>(
      libc,
      'int clock_gettime(int clock, _Out_ fd_timespec *time)',
    ),
    vsnprintf: func<(out: Buffer, size: number, format: string, args: Pointer) => number>(
      libc,
      'int vsnprintf(_Out_ uint8_t *out, size_t size, const char *format, void *args)',
    ),
  }
}

let bound: ReturnType<typeof bind> | undefined
let messages: string[] = []

/** Bound at first use, so that what needs no kernel runs without libbpf. Throws FD_LIBBPF_MISSING. */
function native(): ReturnType<typeof bind> {
  if (bound) return bound
  const made = bind()
  // A va_list parameter is a pointer in both the x86-64 and the AArch64 calling convention.
  const print = (level: number, format: string, args: Pointer): number => {
    if (level > 1) return 0
    const text = Buffer.allocUnsafe(MESSAGE_BYTES)
    const length = Math.min(made.vsnprintf(text, text.length, format, args), text.length - 1)
    messages.push(text.toString('utf8', 0, length))
    return 0
  }
  made.setPrint(made.koffi.register(print, made.koffi.pointer(made.printProto)))
  bound = made
  return made
}

function negativeErrno(): number {
  return -native().koffi.errno() || -1
}

/** `EPERM` for -1; for messages. */
export function errorName(negative: number): string {
  return negative < 0 ? getSystemErrorName(negative) : 'OK'
}

/** Runs `call` and returns what libbpf had to say meanwhile: warnings and the verifier's log. */
export function withMessages<T>(call: () => T): { result: T; log: string } {
  native()
  messages = []
  const result = call()
  const log = messages.join('')
  messages = []
  return { result, log }
}

export function libbpfVersion(): string {
  return native().version().replace(/^v/, '')
}

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

/** A link's fd, or a negative error number. Closing the fd, or the end of the process, detaches. */
export function linkCreate(programFd: number, ifindex: number, type: number, flags: number): number {
  // sz up to and including `flags`: valid for every libbpf 1.x, also for attach types that it does not know (TCX).
  const options = { sz: 12, flags, iter_info: null, iter_info_len: 0, target_btf_id: 0 }
  return native().linkCreate(programFd, ifindex, type, options)
}

/** Replaces the program of a link atomically. */
export const linkUpdate = (link: number, programFd: number): number =>
  native().linkUpdate(link, programFd, null)

/** Which XDP programs an interface has, or a negative error number. */
export function xdpQuery(ifindex: number): XdpState | number {
  const options = { sz: 32, prog_id: 0, drv_prog_id: 0, hw_prog_id: 0, skb_prog_id: 0, attach_mode: 0 }
  const status = native().xdpQuery(ifindex, 0, options)
  if (status < 0) return status
  return { driverId: options.drv_prog_id, genericId: options.skb_prog_id }
}

/** Ids of the programs at a hook that takes several (AttachType.tcxEgress); empty where the kernel has no such hook. */
export function programsAt(ifindex: number, type: number): number[] {
  const ids = new Uint32Array(64)
  const count: [number] = [ids.length]
  const status = native().programQuery(ifindex, type, 0, null, ids, count)
  return status < 0 ? [] : [...ids.subarray(0, count[0])]
}

/** A loaded program's name, for messages; undefined when it is gone or may not be seen. */
export function programNameById(id: number): string | undefined {
  const fd = native().programFdById(id)
  if (fd < 0) return undefined
  // struct bpf_prog_info: name is 16 bytes at 64; the kernel fills as much as we ask for.
  const info = Buffer.alloc(80)
  const status = native().infoByFd(fd, info, [info.length])
  native().closeFd(fd)
  if (status < 0) return undefined
  const end = info.indexOf(0, 64)
  return info.toString('utf8', 64, end < 0 ? 80 : end)
}

function tcHook(ifindex: number, point: number) {
  return { sz: 24, ifindex, attach_point: point, parent: 0 }
}

/** Adds the clsact qdisc; -EEXIST when there is one. */
export const tcHookCreate = (ifindex: number): number =>
  native().tcHookCreate(tcHook(ifindex, TcPoint.ingress | TcPoint.egress))

/** Takes the clsact qdisc away, with every filter on it. */
export const tcHookDestroy = (ifindex: number): number =>
  native().tcHookDestroy(tcHook(ifindex, TcPoint.ingress | TcPoint.egress))

export function tcAttach(ifindex: number, programFd: number, filter: TcFilter, replace: boolean): number {
  const options = { sz: 32, prog_fd: programFd, flags: replace ? 1 : 0, prog_id: 0, ...filter }
  return native().tcAttach(tcHook(ifindex, TcPoint.egress), options)
}

export function tcDetach(ifindex: number, filter: TcFilter): number {
  return native().tcDetach(tcHook(ifindex, TcPoint.egress), {
    sz: 32,
    prog_fd: 0,
    flags: 0,
    prog_id: 0,
    ...filter,
  })
}

/** The program of an egress filter, or a negative error number (-ENOENT: there is none). */
export function tcQuery(ifindex: number, filter: TcFilter): number {
  const options = { sz: 32, prog_fd: 0, flags: 0, prog_id: 0, ...filter }
  const status = native().tcQuery(tcHook(ifindex, TcPoint.egress), options)
  return status < 0 ? status : options.prog_id
}

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

/** What a link joins; undefined when the fd is none of a link. `ifindex` is 0 once it was detached or the interface is gone. */
export function linkInfo(link: number): { programId: number; ifindex: number } | undefined {
  // struct bpf_link_info: type, id, prog_id, padding, then ifindex for both XDP and TCX.
  const info = Buffer.alloc(24)
  if (native().infoByFd(link, info, [info.length]) < 0) return undefined
  return { programId: info.readUInt32LE(8), ifindex: info.readUInt32LE(16) }
}

/** linkInfo's ifindex, 0 for what is no link. */
export const linkIfindex = (link: number): number => linkInfo(link)?.ifindex ?? 0

export const closeFd = (fd: number): number => native().closeFd(fd)

/** The interface's index, 0 when there is none of that name. */
export const ifNameToIndex = (name: string): number => native().ifNameToIndex(name)

/** SIOCETHTOOL: `command` is a struct of linux/ethtool.h, answered in place. False when the driver does not know it. */
export function ethtool(name: string, command: Buffer): boolean {
  const AF_INET = 2
  const SOCK_DGRAM = 2
  const SIOCETHTOOL = 0x8946
  const socket = native().socket(AF_INET, SOCK_DGRAM, 0)
  if (socket < 0) return false
  const padded = Buffer.alloc(16)
  padded.write(name.slice(0, 15), 'latin1')
  const request = { name: [...padded], data: command, unused: new Array(16).fill(0) }
  const status = native().ioctl(socket, SIOCETHTOOL, request)
  native().closeFd(socket)
  return status >= 0
}

/** Which MEMBARRIER_CMD_ the kernel has, as bits; negative when it has none. */
export function membarrierQuery(): number {
  const number = MEMBARRIER_SYSCALL[process.arch]
  return number === undefined ? -1 : native().membarrier(number, Membarrier.query, 0, 0)
}

/** MEMBARRIER_CMD_GLOBAL on a thread of koffi's pool: waits for an RCU grace period, 4-8 ms. */
export function membarrierGlobal(): Promise<number> {
  const number = MEMBARRIER_SYSCALL[process.arch] ?? 0
  return new Promise((resolve, reject) =>
    native().membarrier.async(number, Membarrier.global, 0, 0, (error, status) =>
      error ? reject(error) : resolve(status),
    ),
  )
}

/** CLOCK_MONOTONIC_COARSE in nanoseconds: the clock that the programs read. Exact: 2^53 ns are 104 days, hence two halves. */
export function coarseClock(): { seconds: number; nanoseconds: number } {
  const time: { sec?: number; nsec?: number } = {}
  native().clockGettime(CLOCK_MONOTONIC_COARSE, time)
  return { seconds: time.sec ?? 0, nanoseconds: time.nsec ?? 0 }
}
