// SPDX-License-Identifier: Apache-2.0
import type { LibraryHandle } from 'koffi'
import { func } from './koffi.js'
import type { Pointer } from './types.js'

/** The few calls of libc that Node lacks. */
export function libcCalls(libc: LibraryHandle) {
  return {
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
