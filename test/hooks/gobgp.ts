// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { familyLines } from '@flowdam/scripts/lab/gobgp'
import { EDGE_BGP, ROUTER_BGP } from '@flowdam/scripts/lab/network'
import {
  DaemonGroup,
  EDGE_AS,
  inFolder,
  ROUTER_AS,
  type SpeakerPlace,
  type SpeakerUnderTest,
  succeeds,
} from './speaker.js'

/** gobgpd on our side too. */
export function gobgp(place: SpeakerPlace): SpeakerUnderTest {
  const config = inFolder(place, 'gobgpd.toml')
  writeFileSync(
    config,
    `[global.config]
  as = ${EDGE_AS}
  router-id = "${EDGE_BGP}"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "${ROUTER_BGP}"
    peer-as = ${ROUTER_AS}
  [neighbors.timers.config]
    connect-retry = 1
${familyLines()}`,
  )
  const daemons = new DaemonGroup([
    {
      name: 'gobgpd',
      program: 'gobgpd',
      args: ['-f', config, '--api-hosts', '127.0.0.1:50051', '--pprof-disable', '--log-plain'],
      namespace: place.namespace,
      logFile: inFolder(place, 'gobgpd.log'),
      env: { GOMAXPROCS: '1' },
    },
  ])
  return {
    settings: {},
    start: () => daemons.start(() => succeeds('ip', ['netns', 'exec', place.namespace, 'gobgp', 'global'])),
    kill: () => daemons.kill(),
    stop: () => daemons.stop(),
  }
}
