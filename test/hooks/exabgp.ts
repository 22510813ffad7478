// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { EDGE_BGP, ROUTER_BGP } from '@flowdam/scripts/lab/network'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'
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

/** What FastNetMon's users have exabgp.conf run: it prints what is written to the pipe. */
const READER = `#!/bin/bash
FIFO="$1"
rm -f $FIFO
mkfifo $FIFO
echo $$ > $FIFO.pid
exec tail -f $FIFO
`

/**
 * ExaBGP 4 below a root of its own: with the hook's process in its configuration, with the command line's pipes, or with
 * the process that FastNetMon's users have.
 */
export function exabgp(place: SpeakerPlace, form: 'cli' | 'pipe' | 'fifo'): SpeakerUnderTest {
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
  const fifo = inFolder(place, 'exabgp.cmd')
  const reader = inFolder(place, 'exabgp_pipe_provider.sh')
  const settings: Record<string, string> =
    form === 'pipe'
      ? { EXABGP_FOLDER: state }
      : form === 'fifo'
        ? { EXABGP_FIFO: fifo, EXABGP_FOLDER: state }
        : { EXABGP_ROOT: place.folder, EXABGP_PIPE: PIPE, EXABGP_LOCK: inFolder(place, 'lock') }
  const program = join(ROOT, 'scripts', 'hooks', 'exabgp-pipe')
  const processLine = {
    cli: '',
    pipe: `process flowdam { run ${program} --config ${processSettings} process; encoder text; }`,
    fifo: `process service-dynamic { run /bin/bash ${reader} ${fifo}; encoder text; }`,
  }[form]
  const apiLine = { cli: '', pipe: 'flowdam', fifo: 'service-dynamic' }[form]
  return {
    settings,
    start: async () => {
      for (const folder of ['etc/exabgp', 'run/exabgp', 'state'])
        give(inFolder(place, folder), { uid: 0, gid: 0 })
      if (form === 'cli' && !(await succeeds('test', ['-p', `${pipes}.in`]))) {
        await command('mkfifo', [`${pipes}.in`, `${pipes}.out`])
      }
      writeFileSync(processSettings, settingsText(settings))
      writeFileSync(reader, READER)
      writeFileSync(
        config,
        `${processLine}
neighbor ${ROUTER_BGP} {
  router-id ${EDGE_BGP};
  local-address ${EDGE_BGP};
  local-as ${EDGE_AS};
  peer-as ${ROUTER_AS};
  family { ipv4 unicast; ipv6 unicast; ipv4 flow; ipv6 flow; }
  ${apiLine === '' ? '' : `api { processes [ ${apiLine} ]; }`}
}
`,
      )
      await daemons.start(async () => true)
    },
    kill: async () => {
      await daemons.kill()
      // The reader of an ExaBGP that crashed would swallow one more line.
      if (form === 'fifo') await endReader(`${fifo}.pid`)
    },
    stop: () => daemons.stop(),
  }
}

async function endReader(pidFile: string): Promise<void> {
  const pid = Number(readFileSync(pidFile, 'utf8'))
  await waitFor('the reader of the pipe to end', async () => {
    try {
      process.kill(pid, 'SIGKILL')
      return undefined
    } catch {
      return true
    }
  })
}
