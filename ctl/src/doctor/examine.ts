// SPDX-License-Identifier: Apache-2.0
import { checkInterface, missingInterface } from './check-interface.js'
import { checkDropCounters, readDropCounters } from './drop-counters.js'
import { type Finding, note, type Section } from './finding.js'
import { hardwareInterfaces, interfaceExists, readInterface } from './interface.js'
import { checkKernel } from './kernel.js'
import { readKernelVersion } from './kernel-version.js'
import { checkLibbpf } from './libbpf.js'
import { checkPrivileges } from './privileges.js'
import { checkResources, countCpus } from './resources.js'
import { checkSoftnet, readSoftnet } from './softnet.js'
import type { Sources } from './sources.js'

export interface ExamineOptions {
  /** Empty: every interface with hardware behind it. */
  interfaces: readonly string[]
  /** How long counters are watched. */
  watchMs: number
}

/** Looks at the whole machine. Only reads. */
export async function examine(sources: Sources, options: ExamineOptions): Promise<Section[]> {
  const kernel = readKernelVersion(sources)
  const cpus = countCpus(sources)
  const names = options.interfaces.length > 0 ? options.interfaces : hardwareInterfaces(sources)
  const present = names.filter((name) => interfaceExists(sources, name))

  const softnetBefore = readSoftnet(sources)
  const dropsBefore = await Promise.all(present.map((name) => readDropCounters(sources, name)))
  await sources.sleep(options.watchMs)
  const seconds = options.watchMs / 1000

  const machine: Section = {
    name: 'machine',
    findings: [
      ...checkKernel(sources, kernel),
      ...checkPrivileges(sources),
      ...(await checkLibbpf(sources, kernel)),
      ...checkResources(sources, cpus),
      ...checkSoftnet(softnetBefore, readSoftnet(sources), seconds),
      ...(await ethtoolMissing(sources)),
      ...(names.length === 0
        ? [note('interface.none', 'no interface with hardware; name one with --interface')]
        : []),
    ],
  }
  const interfaces = await Promise.all(
    present.map(async (name, index): Promise<Section> => {
      const drops = await readDropCounters(sources, name)
      return {
        name: `interface ${name}`,
        findings: [
          ...checkInterface(await readInterface(sources, name), kernel, cpus),
          ...checkDropCounters(name, dropsBefore[index] ?? new Map(), drops, seconds),
        ],
      }
    }),
  )
  const missing = names
    .filter((name) => !present.includes(name))
    .map((name) => ({
      name: `interface ${name}`,
      findings: [missingInterface(name, sources.list('/sys/class/net'))],
    }))
  return [machine, ...interfaces, ...missing]
}

async function ethtoolMissing(sources: Sources): Promise<Finding[]> {
  if ((await sources.run('ethtool', '--version')) !== undefined) return []
  return [
    note(
      'machine.ethtool',
      'ethtool is not installed: offloads, rings and queues stay unknown',
      'apt-get install ethtool',
    ),
  ]
}
