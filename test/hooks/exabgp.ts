// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { EDGE_BGP, ROUTER_BGP } from '@flowdam/scripts/lab/network'
import { ROOT } from '@flowdam/scripts/lab/root'
import {
  DaemonGroup,
  EDGE_AS,
  give,
  inFolder,
  ROUTER_AS,
  type SpeakerPlace,
  type SpeakerUnderTest,
  settingsText,
  succeeds,
} from './speaker.js'

const PIPE = 'lab'

/** ExaBGP 4 below a root of its own, with the hook's process in its configuration or with the command line's pipes. */
export function exabgp(place: SpeakerPlace, form: 'cli' | 'pipe'): SpeakerUnderTest {
  const config = inFolder(place, 'exabgp.conf')
  const pipes = inFolder(place, 'run', 'exabgp', PIPE)
  const state = inFolder(place, 'state')
  const processSettings = inFolder(place, 'process.conf')
  const daemons = new DaemonGroup([
    {
      name: 'exabgp',
      program: 'exabgp',
      args: ['--root', place.folder, config],
      namespace: place.namespace,
      logFile: inFolder(place, 'exabgp.log'),
      env: {
        exabgp_api_pipename: PIPE,
        exabgp_daemon_user: 'root',
        exabgp_log_destination: 'stderr',
      },
    },
  ])
  const settings: Record<string, string> =
    form === 'pipe'
      ? { EXABGP_FOLDER: state }
      : { EXABGP_ROOT: place.folder, EXABGP_PIPE: PIPE, EXABGP_LOCK: inFolder(place, 'lock') }
  const program = join(ROOT, 'scripts', 'hooks', 'exabgp-pipe')
  return {
    settings,
    start: async () => {
      for (const folder of ['etc/exabgp', 'run/exabgp', 'state'])
        give(inFolder(place, folder), { uid: 0, gid: 0 })
      if (form === 'cli' && !(await succeeds('test', ['-p', `${pipes}.in`]))) {
        await command('mkfifo', [`${pipes}.in`, `${pipes}.out`])
      }
      writeFileSync(processSettings, settingsText(settings))
      writeFileSync(
        config,
        `${form === 'pipe' ? `process flowdam { run ${program} --config ${processSettings} process; encoder text; }` : ''}
neighbor ${ROUTER_BGP} {
  router-id ${EDGE_BGP};
  local-address ${EDGE_BGP};
  local-as ${EDGE_AS};
  peer-as ${ROUTER_AS};
  family { ipv4 unicast; ipv6 unicast; ipv4 flow; ipv6 flow; }
  ${form === 'pipe' ? 'api { processes [ flowdam ]; }' : ''}
}
`,
      )
      await daemons.start(async () => true)
    },
    kill: () => daemons.kill(),
    stop: () => daemons.stop(),
  }
}
