// SPDX-License-Identifier: Apache-2.0
import { LabProcess } from '@flowdam/scripts/lab/process'
import type { MachineCopy } from './machine-copy.js'

/**
 * A service's process as its unit says: user, capabilities, no new privileges. There is no systemd as process 1 where
 * tests run, so the sandbox of the file system is not there; `systemd-analyze` looks at it.
 */
export async function unitProcess(machine: MachineCopy, name: string, logFile: string): Promise<LabProcess> {
  const text = await machine.must('cat', `/lib/systemd/system/${name}.service`)
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? ''
  const capabilities = value('CapabilityBoundingSet').toLowerCase().split(' ').filter(Boolean)
  const set = ['-all', ...capabilities.map((one) => `+${one.replace('cap_', '')}`)].join(',')
  const [program, args] = machine.commandLine([
    'setpriv',
    ...['--reuid', value('User'), '--regid', value('Group'), '--init-groups', '--no-new-privs'],
    ...['--inh-caps', set, '--ambient-caps', set, '--bounding-set', set],
    ...value('ExecStart').split(' '),
  ])
  const daemon = new LabProcess({ name, program, args, logFile })
  daemon.start()
  return daemon
}
