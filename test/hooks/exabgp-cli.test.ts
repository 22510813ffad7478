// SPDX-License-Identifier: Apache-2.0
import { exabgp } from './exabgp.js'
import { describeHook } from './suite.js'

describeHook({
  hook: 'exabgp-cli',
  speaker: (place) => exabgp(place, 'cli'),
  remembers: false,
  absent: /could not (read|send|connect|communicate)|is not running/,
  mistakes: [
    {
      title: 'ExaBGP has no such neighbour',
      settings: { EXABGP_NEIGHBOR: '192.0.2.77' },
      message: /neighbor 192\.0\.2\.77 announce route .*: ExaBGP returns an error/,
    },
  ],
})
