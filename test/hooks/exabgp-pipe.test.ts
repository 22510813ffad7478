// SPDX-License-Identifier: Apache-2.0
import { exabgp } from './exabgp.js'
import { describeHook } from './suite.js'

describeHook({
  hook: 'exabgp-pipe',
  speaker: (place) => exabgp(place, 'pipe'),
  remembers: true,
  absent: /no process of ExaBGP listens/,
})
