// SPDX-License-Identifier: Apache-2.0
import { exabgp } from './exabgp.js'
import { describeHook } from './suite.js'

describeHook({
  hook: 'exabgp-pipe',
  speaker: (place) => exabgp(place, 'pipe'),
  remembers: true,
  absent: /no process of ExaBGP listens/,
  mistakes: [
    {
      title: 'ExaBGP has no such neighbour',
      settings: { EXABGP_NEIGHBOR: '192.0.2.77' },
      message: /ExaBGP refuses: neighbor 192\.0\.2\.77 announce route/,
    },
  ],
})
