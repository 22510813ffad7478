// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { type ConfigIssue, contains, formatHostPort, isIpv4, isLoopback, PrefixSet } from '@flowdam/common'
import { parseLevel } from '../detect/policies.js'
import { checkBaselines } from './check-baselines.js'
import { checkLevels } from './levels.js'
import type { AggregatorConfig } from './schema.js'

/** What a schema cannot say: how the parts of the file fit together, and the world around it. */
export function checkAggregatorConfig(config: AggregatorConfig): ConfigIssue[] {
  return [
    ...checkListen(config),
    ...checkHostgroups(config),
    ...checkBaselines(config),
    ...checkGuards(config),
    ...checkHooks(config),
    ...checkLevels(config),
    ...checkLimits(config),
  ]
}

function checkListen(config: AggregatorConfig): ConfigIssue[] {
  const { api, tls, insecure } = config
  const issues: ConfigIssue[] = []
  if (api.tls && !api.listen) {
    issues.push({ path: ['api', 'tls'], message: "is for a port of the API's own: name it, 'api.listen'" })
  }
  if (api.tls && api.tls.ca === undefined && api.tokens === undefined) {
    issues.push({
      path: ['api', 'tls'],
      message: "without 'ca' the API asks nobody for a certificate: then it needs 'api.tokens'",
    })
  }
  if (api.certificates && !(api.listen ? api.tls?.ca : tls)) {
    issues.push({
      path: ['api', 'certificates'],
      message: `nobody shows one: configure ${api.listen ? "'api.tls.ca'" : "'tls'"}`,
    })
  }
  const { fastnetmon_api: fastNetMon } = config
  // Also where an operator insists on plaintext: whoever reaches this port can ban.
  if (fastNetMon && !isLoopback(fastNetMon.host)) {
    issues.push({
      path: ['fastnetmon_api'],
      message: `${formatHostPort(fastNetMon)} can be reached from other machines, and FastNetMon's API asks nobody who he is: listen on 127.0.0.1`,
    })
  }
  if (insecure) return issues
  if (api.listen && !api.tls && !isLoopback(api.listen.host)) {
    issues.push({
      path: ['api', 'listen'],
      message: `${formatHostPort(api.listen)} can be reached from other machines and would be plaintext, tokens too: configure api.tls, listen on 127.0.0.1, or insist with 'insecure: true'`,
    })
  }
  const { grpc, http } = config.listen
  if (!config.tls && !isLoopback(grpc.host)) {
    issues.push({
      path: ['listen', 'grpc'],
      message: `${formatHostPort(grpc)} can be reached from other machines and would be plaintext: configure tls, listen on 127.0.0.1, or insist with 'insecure: true'`,
    })
  }
  if (!isLoopback(http.host)) {
    issues.push({
      path: ['listen', 'http'],
      message: `${formatHostPort(http)} can be reached from other machines, and metrics are plaintext: listen on 127.0.0.1 or insist with 'insecure: true'`,
    })
  }
  return issues
}

function checkHostgroups(config: AggregatorConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  const networks = new PrefixSet(config.networks)
  const names = new Set<string>()
  const owners = new Map<string, string>()
  for (const [index, group] of config.hostgroups.entries()) {
    if (names.has(group.name)) {
      issues.push({ path: ['hostgroups', index, 'name'], message: `'${group.name}' is there twice` })
    }
    names.add(group.name)
    for (const [at, prefix] of group.prefixes.entries()) {
      const path = ['hostgroups', index, 'prefixes', at]
      if (!networks.covers(prefix)) {
        issues.push({ path, message: `${prefix.text} is outside 'networks': it would never be counted` })
      }
      const owner = owners.get(prefix.text)
      if (owner !== undefined) {
        issues.push({ path, message: `${prefix.text} is already in hostgroup '${owner}'` })
      }
      owners.set(prefix.text, group.name)
    }
    for (const key of Object.keys(group.carpet ?? {})) {
      const level = parseLevel(key)
      const holds = group.prefixes.some(
        (prefix) => prefix.length <= level.length && isIpv4(prefix.bytes) === level.ipv4,
      )
      if (holds) continue
      issues.push({
        path: ['hostgroups', index, 'carpet', key],
        message: `no prefix of '${group.name}' holds a whole /${key.slice(key.indexOf('/') + 1)}; a threshold for the hostgroup's addresses together is 'total'`,
      })
    }
  }
  return issues
}

function checkGuards(config: AggregatorConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  const networks = new PrefixSet(config.networks)
  for (const [index, prefix] of config.exempt.entries()) {
    const related = networks.covers(prefix) || config.networks.some((network) => contains(prefix, network))
    if (!related) {
      issues.push({
        path: ['exempt', index],
        message: `${prefix.text} is outside 'networks', so it is never banned anyway; a slip?`,
      })
    }
  }
  for (const [index, prefix] of config.ban.wide.entries()) {
    if (!networks.covers(prefix)) {
      issues.push({ path: ['ban', 'wide', index], message: `${prefix.text} is outside 'networks'` })
    }
  }
  return issues
}

function checkHooks(config: AggregatorConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  const names = new Set<string>()
  for (const [index, hook] of config.hooks.entries()) {
    if (names.has(hook.name)) {
      issues.push({ path: ['hooks', index, 'name'], message: `'${hook.name}' is there twice` })
    }
    names.add(hook.name)
    if ((hook.run === undefined) === (hook.url === undefined)) {
      issues.push({ path: ['hooks', index], message: "a hook has either 'run' or 'url'" })
    }
    if (hook.url !== undefined && hook.format === 'fastnetmon') {
      issues.push({ path: ['hooks', index, 'format'], message: "a 'url' gets JSON" })
    }
    const complaint = hook.run && executableComplaint(hook.run[0] ?? '')
    if (complaint) issues.push({ path: ['hooks', index, 'run'], message: complaint })
  }
  return issues
}

function executableComplaint(file: string): string | undefined {
  if (!isAbsolute(file)) return `'${file}' is not an absolute path`
  try {
    if (!statSync(file).isFile()) return `${file} is not a file`
  } catch {
    return `${file} does not exist`
  }
  try {
    accessSync(file, constants.X_OK)
  } catch {
    return `${file} is not executable: chmod +x ${file}`
  }
  return undefined
}

function checkLimits(config: AggregatorConfig): ConfigIssue[] {
  const windows = new Set(
    [config.thresholds, ...config.hostgroups].map((source) => source.window).filter((ms) => ms !== undefined),
  )
  if (windows.size <= 8) return []
  return [
    {
      path: ['hostgroups'],
      message: `${windows.size} different window lengths; at most 8, each costs 256 bytes for each address`,
    },
  ]
}
