// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { command } from '@flowdam/scripts/lab/commands'
import { EDGE_BGP, ROUTER_BGP } from '@flowdam/scripts/lab/network'
import { runHook } from './run.js'
import {
  DaemonGroup,
  EDGE_AS,
  give,
  inFolder,
  ROUTER_AS,
  type SpeakerPlace,
  type SpeakerUnderTest,
  succeeds,
} from './speaker.js'
import { describeHook } from './suite.js'

// The maps with -4 and -6 are as the hook makes them and `write memory` keeps them.
const BGP = `route-map FLOWDAM permit 10
 match tag 666
route-map FLOWDAM-4 permit 10
 match tag 666
 set community blackhole
 set ip next-hop 192.0.2.1
route-map FLOWDAM-6 permit 10
 match tag 666
 set community blackhole
 set ipv6 next-hop global 100::1
router bgp ${EDGE_AS}
 bgp router-id ${EDGE_BGP}
 neighbor ${ROUTER_BGP} remote-as ${ROUTER_AS}
 neighbor ${ROUTER_BGP} timers connect 1
 address-family ipv4 unicast
  redistribute static route-map FLOWDAM
  neighbor ${ROUTER_BGP} route-map FLOWDAM-4 out
 exit-address-family
 address-family ipv6 unicast
  redistribute static route-map FLOWDAM
  neighbor ${ROUTER_BGP} activate
  neighbor ${ROUTER_BGP} route-map FLOWDAM-6 out
 exit-address-family
`

/** zebra, staticd and bgpd, as their own user: they refuse to be another. */
function frr(place: SpeakerPlace): SpeakerUnderTest {
  const folder = inFolder(place, 'frr')
  const daemons = new DaemonGroup(
    ['zebra', 'staticd', 'bgpd'].map((daemon) => ({
      name: daemon,
      program: `/usr/lib/frr/${daemon}`,
      args: [
        ...['-f', `${folder}/${daemon}.conf`, '-i', `${folder}/${daemon}.pid`, '-P', '0', '--log', 'stdout'],
        ...['--vty_socket', folder, '-z', `${folder}/zserv.api`],
        ...(daemon === 'bgpd' ? ['-l', EDGE_BGP] : []),
      ],
      namespace: place.namespace,
      logFile: inFolder(place, `${daemon}.log`),
    })),
  )
  return {
    settings: { VTYSH_OPTIONS: `--vty_socket ${folder}` },
    start: async () => {
      const owner = {
        uid: Number(await command('id', ['-u', 'frr'])),
        gid: Number(await command('id', ['-g', 'frr'])),
      }
      give(folder, owner)
      for (const daemon of ['zebra', 'staticd', 'bgpd']) {
        give(`${folder}/${daemon}.conf`, owner, `frr defaults traditional\n${daemon === 'bgpd' ? BGP : ''}`)
      }
      await daemons.start(({ name }) =>
        succeeds('vtysh', ['--vty_socket', folder, '-d', name, '-c', 'show version']),
      )
    },
    kill: () => daemons.kill(),
    stop: () => daemons.stop(),
  }
}

const OPERATORS = 'ip route 203.0.113.50/32 blackhole'

/** A blackhole of the operator's own, for the address that is to be banned. */
async function ownRoute({ folder }: SpeakerPlace, no: string): Promise<void> {
  await command('vtysh', [
    '--vty_socket',
    `${folder}/frr`,
    '-c',
    'configure terminal',
    '-c',
    `${no}${OPERATORS}`,
  ])
}

async function redistribution({ folder }: SpeakerPlace, no: string): Promise<void> {
  const lines = ['configure terminal', `router bgp ${EDGE_AS}`, 'address-family ipv4 unicast']
  const change = `${no}redistribute static route-map FLOWDAM`
  await command('vtysh', [
    ...['--vty_socket', `${folder}/frr`],
    ...[...lines, change].flatMap((line) => ['-c', line]),
  ])
}

describeHook({
  hook: 'frr',
  speaker: frr,
  remembers: false,
  absent: /failed to connect to any daemons/,
  mistakes: [
    {
      title: 'the operator has a static route for the address, which outlives ban, unban and resync',
      make: (place) => ownRoute(place, ''),
      message: /left alone, since a static route without our tag 666 is there: 203\.0\.113\.50\/32/,
      mend: async (place) => {
        const settings = { VTYSH_OPTIONS: `--vty_socket ${place.folder}/frr` }
        await runHook(place.namespace, 'frr', ['203.0.113.50', 'incoming', '1', 'unban'], '', settings)
        await runHook(place.namespace, 'frr', ['resync'], '203.0.113.10\n2001:db8:1::a\n', settings)
        const config = await command('vtysh', [
          ...['--vty_socket', `${place.folder}/frr`, '-c', 'show running-config'],
        ])
        assert.ok(config.split('\n').includes(OPERATORS))
        await ownRoute(place, 'no ')
      },
    },
    {
      title: 'bgpd redistributes no static routes',
      make: (place) => redistribution(place, 'no '),
      message: /bgpd does not take the route: has each address family 'redistribute static'/,
      mend: (place) => redistribution(place, ''),
    },
  ],
})
