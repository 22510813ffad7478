// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { FlowdamError } from '@flowdam/common'
import {
  type AggregatorFile,
  agentYaml,
  aggregatorYaml,
  type HookEntry,
  settingsFile,
} from './aggregator-file.js'
import { bgpHooks } from './bgp.js'
import { Conf } from './conf-file.js'
import { captures, featureIsOn } from './features.js'
import { type Fate, type Finding, ignored, irrelevant, missing, translated } from './finding.js'
import { readHostgroups } from './hostgroups.js'
import { judgeLines } from './keys.js'
import { readNetworks, readWhitelist } from './lists.js'
import { policyOf } from './policy.js'
import { isIpv4Prefix } from './prefix.js'
import { Complaints, readLines } from './source.js'

export interface ImportOptions {
  /** fastnetmon.conf. */
  file: string
  /** Instead of what networks_list_path and white_list_path say. */
  networksList?: string | undefined
  whitelist?: string | undefined
  /** Where the files will be: hooks are told of their settings there. */
  folder: string
  /** Where our hooks are. */
  hooksFolder: string
}

export interface Imported {
  /** By name. */
  files: ReadonlyMap<string, string>
  /** For every line of the three files that says something. */
  findings: readonly Finding[]
}

const NETWORKS_LIST = '/etc/networks_list'
const WHITELIST = '/etc/networks_whitelist'

/** FD_IMPORT_UNREADABLE, FD_IMPORT_INVALID, FD_IMPORT_NO_NETWORKS. */
export function importFastNetMon(options: ImportOptions): Imported {
  const complaints = new Complaints()
  const conf = new Conf(options.file, readLines(options.file), complaints)
  const networksFile = options.networksList ?? (conf.text('networks_list_path') || NETWORKS_LIST)
  const ours = readNetworks(networksFile, readLines(networksFile), complaints)
  const whitelist = whitelistOf(conf, options)
  const whitelistFile = whitelist ?? ''
  const exempt = readWhitelist(
    whitelistFile,
    whitelist === undefined ? [] : readLines(whitelist),
    ours.prefixes,
    complaints,
  )
  const { groups, fates } = readHostgroups(conf, ours.prefixes)
  const policy = policyOf(conf, ours.prefixes, groups)
  const notify = notifyHook(conf)
  const bgp = bgpHooks(conf)
  const interfaces = captures(conf) ? interfacesOf(conf) : []
  const yaml: AggregatorFile = {
    source: options.file,
    networks: ours.prefixes,
    exempt: exempt.prefixes,
    policy,
    windowMs: windowOf(conf.number('average_calculation_time', 5)),
    banSeconds: conf.number('ban_time', 1800),
    hooks: [
      ...(notify.hook ? [notify.hook] : []),
      ...bgp.map(({ name, program, settings }) =>
        entryOf(name, [
          join(options.hooksFolder, program),
          '--config',
          join(options.folder, settingsName(program, settings)),
        ]),
      ),
    ],
    api: conf.isOn('enable_api'),
    metricTables: featureIsOn(conf, 'clickhouse_metrics'),
  }
  const findings = [
    ...judgeLines(conf, {
      hostgroups: groups.map(({ name }) => name),
      hostgroupFates: fates,
      hasIpv6: ours.prefixes.some((prefix) => !isIpv4Prefix(prefix)),
      notify: notify.fate,
      networksFile,
      whitelistFile,
    }),
    ...ours.findings,
    ...exempt.findings,
  ]
  complaints.check()
  if (ours.prefixes.length === 0) {
    throw new FlowdamError('FD_IMPORT_NO_NETWORKS', `${networksFile} names no network`, {
      remedy:
        'Flowdam bans only inside networks that are named: write them there, or name another file with --networks-list.',
    })
  }
  const files = new Map([['aggregator.yaml', aggregatorYaml(yaml)]])
  if (interfaces.length > 0) {
    const native = conf.isOn('mirror_afxdp') && conf.isOn('force_native_mode_xdp')
    files.set('agent.yaml', agentYaml(options.file, interfaces, native))
  }
  for (const { program, settings } of bgp) {
    files.set(settingsName(program, settings), settingsFile(options.file, settings))
  }
  return { files, findings }
}

/** One that is named must be there, one that is only usual need not. */
function whitelistOf(conf: Conf, { whitelist }: ImportOptions): string | undefined {
  if (whitelist !== undefined) return whitelist
  const usual = conf.text('white_list_path') || WHITELIST
  return existsSync(usual) ? usual : undefined
}

function settingsName(program: string, settings: readonly (readonly [string, string])[]): string {
  const family = settings.find(([name]) => name === 'FAMILIES')?.[1]
  return program === 'gobgp' ? `gobgp-ipv${family}.conf` : `${program}.conf`
}

/** Seconds of FastNetMon's average as a window that aggregator.yaml takes. */
function windowOf(seconds: number): number {
  return seconds === 0 ? 1000 : Math.min(60, seconds) * 1000
}

function notifyHook(conf: Conf): { hook?: HookEntry; fate: Fate } {
  const path = conf.text('notify_script_path')
  if (path === '') return { fate: ignored('no script is named') }
  if (!isAbsolute(path) || path.includes('\0'))
    return { fate: missing(`a hook is named by an absolute path, '${path}' is none`) }
  const hook = entryOf('notify', [path])
  if (hook.obstacle === '') return { hook, fate: translated('hook notify, with format: fastnetmon') }
  const fate = existsSync(path)
    ? missing(`${hook.obstacle}; the hook notify is a comment`)
    : irrelevant(`${hook.obstacle}, and without it FastNetMon runs none either; the hook notify is a comment`)
  return { hook, fate }
}

function entryOf(name: string, run: readonly string[]): HookEntry {
  return { name, run, format: 'fastnetmon', obstacle: executableObstacle(run[0] ?? '') }
}

/** Why --check would refuse the program on this machine. */
function executableObstacle(file: string): string {
  try {
    if (!statSync(file).isFile()) return `${file} is no file`
    accessSync(file, constants.X_OK)
    return ''
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return missing ? `${file} does not exist here` : `${file} is not executable`
  }
}

function interfacesOf(conf: Conf): string[] {
  const entry = conf.find('interfaces')
  const names = (entry?.value ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'any')
  const wrong = names.find((name) => !/^[^\s/]{1,15}$/.test(name))
  if (entry && wrong !== undefined) conf.complain(entry, `'${wrong}' is no name of an interface`)
  return [...new Set(names)].slice(0, 127)
}
