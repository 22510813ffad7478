// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { EDGE_BGP, ROUTER_BGP } from '@flowdam/scripts/lab/network'
import { ROOT } from '@flowdam/scripts/lab/root'
import {
  DaemonGroup,
  EDGE_AS,
  inFolder,
  ROUTER_AS,
  type SpeakerPlace,
  type SpeakerUnderTest,
  settingsText,
  succeeds,
} from './speaker.js'
import { describeHook } from './suite.js'

/** BIRD 2, with a configuration as the hook's help has it. */
function bird(place: SpeakerPlace): SpeakerUnderTest {
  const [config, socket, included] = ['bird.conf', 'bird.ctl', 'flowdam.conf'].map((name) =>
    inFolder(place, name),
  ) as [string, string, string]
  const daemons = new DaemonGroup([
    {
      name: 'bird',
      program: 'bird',
      args: ['-f', '-c', config, '-s', socket, '-P', inFolder(place, 'bird.pid')],
      namespace: place.namespace,
      logFile: inFolder(place, 'bird.log'),
    },
  ])
  const settings = { BIRD_SOCKET: socket, BIRD_FILE: included }
  writeFileSync(
    config,
    `router id ${EDGE_BGP};
include "${included}";
protocol device {}
# A customer's route, as preferred as ours would be without a preference.
protocol static customers { ipv4; route 203.0.113.10/32 via ${ROUTER_BGP}; }
protocol bgp upstream {
  local ${EDGE_BGP} as ${EDGE_AS};
  neighbor ${ROUTER_BGP} as ${ROUTER_AS};
  connect delay time 1;
  ipv4 { import none; export where flowdam_blackhole(); };
  ipv6 { import none; export where flowdam_blackhole(); };
}
`,
  )
  return {
    settings,
    start: async () => {
      // As the hook's help says: it makes the file, and complains that BIRD is not there yet.
      if (!existsSync(included)) await assert.rejects(firstFile(place, settings), /Unable to connect/)
      await daemons.start(() => succeeds('birdc', ['-s', socket, 'show', 'status']))
    },
    kill: () => daemons.kill(),
    stop: () => daemons.stop(),
  }
}

function firstFile(place: SpeakerPlace, settings: Readonly<Record<string, string>>): Promise<string> {
  const config = inFolder(place, 'first.conf')
  writeFileSync(config, settingsText(settings))
  return command(join(ROOT, 'scripts', 'hooks', 'bird'), ['--config', config, 'resync', '--none'])
}

/** Adds a line to bird.conf, or takes all such lines away. */
async function spoil({ folder }: SpeakerPlace, line?: string): Promise<void> {
  const config = join(folder, 'bird.conf')
  const text = readFileSync(config, 'utf8').replace(/^.* # spoilt\n/gm, '')
  writeFileSync(config, line === undefined ? text : `${text}${line} # spoilt\n`)
}

describeHook({
  hook: 'bird',
  speaker: bird,
  remembers: true,
  absent: /Unable to connect/,
  mistakes: [
    {
      title: 'bird.conf has a mistake elsewhere, and leaves its file as it was',
      make: (place) => spoil(place, 'protocol nonsense {}'),
      message:
        /BIRD refuses its configuration, .*flowdam\.conf is as before: .*bird\.conf:\d+:\d+ syntax error/,
      mend: (place) => spoil(place),
    },
    {
      title: 'bird.conf does not include the file',
      make: async ({ folder }) => {
        renameSync(join(folder, 'bird.conf'), join(folder, 'kept.conf'))
        writeFileSync(join(folder, 'bird.conf'), `router id ${EDGE_BGP};\nprotocol device {}\n`)
      },
      message: /BIRD does not include .*flowdam\.conf/,
      mend: async ({ folder }) => renameSync(join(folder, 'kept.conf'), join(folder, 'bird.conf')),
    },
  ],
})
