// SPDX-License-Identifier: Apache-2.0
import { exabgp } from './exabgp.js'
import { describeHook } from './suite.js'

describeHook({
  hook: 'exabgp-cli',
  speaker: (place) => exabgp(place, 'cli'),
  remembers: false,
  absent: /could not (read|send|connect|communicate)|is not running/,
})
