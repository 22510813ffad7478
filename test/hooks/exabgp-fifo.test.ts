// SPDX-License-Identifier: Apache-2.0
import { exabgp } from './exabgp.js'
import { describeHook } from './suite.js'

describeHook({
  hook: 'exabgp-fifo',
  speaker: (place) => exabgp(place, 'fifo'),
  remembers: false,
  absent: /no process of ExaBGP reads/,
})
