// SPDX-License-Identifier: Apache-2.0
//
// Binding, errors and messages. koffi traps (measured with 3.3.4): pointers are BigInt, a null one is null; errno is only
// valid right after a synchronous call, so functions here return negative error numbers; koffi must stay out of
// worker_threads.
import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import { FlowdamError } from '@flowdam/common'
import type { LibraryHandle } from 'koffi'
import type { Koffi } from './koffi.js'
import { libbpfCalls } from './libbpf-calls.js'
import { libcCalls } from './libc-calls.js'
import { defineStructs } from './structs.js'
import type { Pointer } from './types.js'

const nodeRequire = createRequire(import.meta.url)
/** Room for one message of libbpf; the verifier's log is one message. */
const MESSAGE_BYTES = 4 << 20

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
  defineStructs(koffi)
  const printProto = koffi.proto('int fd_print(int level, const char *format, void *arguments)')
  return {
    koffi,
    printProto,
    ...libbpfCalls(lib),
    setPrint: lib.func('libbpf_set_print', 'void *', [koffi.pointer(printProto)]) as unknown as (
      callback: Pointer,
    ) => Pointer | null,
    ...libcCalls(libc),
  }
}

let bound: ReturnType<typeof bind> | undefined
let messages: string[] = []

/** Bound at first use, so that what needs no kernel runs without libbpf. Throws FD_LIBBPF_MISSING. */
export function native(): ReturnType<typeof bind> {
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

export function negativeErrno(): number {
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
