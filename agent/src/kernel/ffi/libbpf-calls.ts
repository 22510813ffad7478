// SPDX-License-Identifier: Apache-2.0
import type { LibraryHandle } from 'koffi'
import { func } from './koffi.js'
import type { Pointer } from './types.js'

/** What we use of libbpf.so.1, by its declarations in bpf/libbpf.h and bpf/bpf.h. */
export function libbpfCalls(lib: LibraryHandle) {
  return {
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
    version: func<() => string>(lib, 'const char *libbpf_version_string()'),
  }
}
