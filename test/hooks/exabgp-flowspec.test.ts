// SPDX-License-Identifier: Apache-2.0
import { exabgp } from './exabgp.js'
import { describeFlowSpecHook } from './flowspec-suite.js'

describeFlowSpecHook({
  hook: 'exabgp-flowspec',
  speaker: (place) => exabgp(place, 'cli'),
  absent: /could not (read|send|connect|communicate)|is not running/,
})
