// SPDX-License-Identifier: Apache-2.0
import { gobgp } from './gobgp.js'
import { describeHook } from './suite.js'

describeHook({
  hook: 'gobgp',
  speaker: gobgp,
  remembers: false,
  absent: /deadline exceeded|refused/,
})
