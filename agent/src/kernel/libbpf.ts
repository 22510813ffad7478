// SPDX-License-Identifier: Apache-2.0
//
// libbpf.so.1 and a little of libc. Only what is below ffi/ knows about FFI, so that node:ffi can replace koffi there.
export * from './ffi/links.js'
export * from './ffi/maps.js'
export { errorName, libbpfVersion, withMessages } from './ffi/native.js'
export * from './ffi/objects.js'
export * from './ffi/system.js'
export * from './ffi/tc.js'
export * from './ffi/test-run.js'
export * from './ffi/types.js'
