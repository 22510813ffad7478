// SPDX-License-Identifier: Apache-2.0
import { contains, type Prefix, PrefixSet } from '@flowdam/common'
import { changed, type Fate, type Finding, ignored, irrelevant, translated } from './finding.js'
import { isIpv4Prefix, readPrefix } from './prefix.js'
import type { Complaints } from './source.js'

export interface PrefixList {
  prefixes: Prefix[]
  findings: Finding[]
}

/** networks_list: what is ours. */
export function readNetworks(file: string, lines: readonly string[], complaints: Complaints): PrefixList {
  return readList(file, lines, complaints, (prefix, text) => {
    if (!text.includes('/')) {
      return { fate: ignored(`FastNetMon wants a length; say ${prefix.text} if it is to be protected`) }
    }
    return {
      take: true,
      fate:
        prefix.text === text
          ? translated('networks')
          : translated(`networks: ${prefix.text}, as FastNetMon takes it`),
    }
  })
}

/** networks_whitelist: what is never banned. `networks` decides what can be an exemption at all. */
export function readWhitelist(
  file: string,
  lines: readonly string[],
  networks: readonly Prefix[],
  complaints: Complaints,
): PrefixList {
  const ours = new PrefixSet(networks)
  return readList(file, lines, complaints, (prefix) => {
    const related = ours.covers(prefix) || networks.some((network) => contains(prefix, network))
    if (!related) return { fate: irrelevant('outside networks_list, so it is never banned anyway') }
    if (isIpv4Prefix(prefix)) return { take: true, fate: translated(`exempt: ${prefix.text}`) }
    return {
      take: true,
      fate: changed(`exempt: ${prefix.text}; FastNetMon 1.2 takes no notice of IPv6 here`),
    }
  })
}

function readList(
  file: string,
  lines: readonly string[],
  complaints: Complaints,
  judge: (prefix: Prefix, text: string) => { take?: boolean; fate: Fate },
): PrefixList {
  const taken = new Map<string, Prefix>()
  const findings: Finding[] = []
  for (const [index, text] of lines.entries()) {
    if (text === '' || text.startsWith('#')) continue
    const line = index + 1
    const prefix = readPrefix(text)
    if (!prefix) {
      complaints.add(file, line, `'${text}' is no prefix such as 203.0.113.0/24 or 2001:db8::/32`)
      continue
    }
    const { take = false, fate } = taken.has(prefix.text)
      ? { fate: irrelevant(`${prefix.text} is there already`) }
      : judge(prefix, text)
    if (take) taken.set(prefix.text, prefix)
    findings.push({ file, line, key: text, value: '', ...fate })
  }
  return { prefixes: [...taken.values()], findings }
}
