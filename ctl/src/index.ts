// SPDX-License-Identifier: Apache-2.0
export { EXIT, type ExitStatus } from './exit-status.js'
export { run } from './program.js'
