// SPDX-License-Identifier: Apache-2.0
//
// What becomes of each key of fastnetmon.conf. A key that is not here is reported as unknown, so none goes unnoticed.
import { nearest } from '@flowdam/common'
import { exabgpObstacle } from './bgp.js'
import type { Conf, ConfLine } from './conf-file.js'
import { captures, FEATURE_KEYS, featureFate } from './features.js'
import { changed, type Fate, type Finding, ignored, irrelevant, missing, translated } from './finding.js'
import { BAN_KEYS, thresholdFate } from './thresholds.js'

/** What the fates of keys depend on beside the file. */
export interface Known {
  hostgroups: readonly string[]
  hostgroupFates: ReadonlyMap<ConfLine, Fate>
  hasIpv6: boolean
  /** The notify script became a hook, or why it did not. */
  notify: Fate
  /** The networks came from a file named on the command line. */
  networksFile: string
  whitelistFile: string
}

type Rule = (conf: Conf, known: Known) => Fate

const offOr =
  (key: string, on: Fate): Rule =>
  (conf) =>
    conf.isOn(key) ? on : irrelevant('not on')

const subnet = (key: string, feature: string): Rule =>
  offOr(
    key,
    missing(
      `${feature} announces no whole subnet of an attacked address; ban.carpet bans prefixes that are attacked as a whole (docs/aggregator-config.md)`,
    ),
  )

const direction =
  (name: 'incoming' | 'outgoing'): Rule =>
  (conf) =>
    conf.isOn(`process_${name}_traffic`, true)
      ? translated(`thresholds.${name}`)
      : translated(`no thresholds for ${name} traffic; it is counted and stored all the same`)

/** Keys of ExaBGP, of which `use` says what becomes of them when it is on. */
const exabgp =
  (use: Rule): Rule =>
  (conf, known) => {
    if (!conf.isOn('exabgp')) return irrelevant('exabgp is not on')
    const obstacle = exabgpObstacle(conf)
    if (obstacle !== '') return ignored(obstacle)
    return use(conf, known)
  }

const EXABGP_FILE = 'exabgp-fifo.conf'
const exabgpHost =
  (text: string): Rule =>
  (conf) =>
    conf.isOn('exabgp_announce_host')
      ? translated(`${EXABGP_FILE}: ${text}`)
      : irrelevant('exabgp_announce_host is not on')

const gobgp =
  (use: Rule): Rule =>
  (conf, known) =>
    conf.isOn('gobgp') ? use(conf, known) : irrelevant('gobgp is not on')

const gobgpHost = (suffix: '' | '_ipv6', text: string): Rule =>
  gobgp((conf) =>
    conf.isOn(`gobgp_announce_host${suffix}`)
      ? translated(`gobgp-ipv${suffix === '' ? 4 : 6}.conf: ${text}`)
      : irrelevant(`gobgp_announce_host${suffix} is not on`),
  )

const always =
  (fate: Fate): Rule =>
  () =>
    fate

const RULES: Readonly<Record<string, Rule>> = {
  logging_level: (conf) =>
    conf.text('logging_level') === 'debug'
      ? changed('set FLOWDAM_LOG=debug in the environment of the daemons')
      : irrelevant('info is what the daemons log'),
  disable_usage_report: always(irrelevant('Flowdam reports to nobody')),
  enable_ban: (conf) =>
    conf.isOn('enable_ban')
      ? translated('ban.enabled')
      : translated('no thresholds for IPv4, or ban.enabled: false'),
  enable_ban_ipv6: (conf, { hasIpv6 }) => {
    if (!hasIpv6) return irrelevant('there is no IPv6 network')
    return conf.isOn('enable_ban_ipv6')
      ? translated('ban.enabled')
      : translated('no thresholds for IPv6, or ban.enabled: false')
  },
  process_incoming_traffic: direction('incoming'),
  process_outgoing_traffic: direction('outgoing'),
  dump_all_traffic: offOr(
    'dump_all_traffic',
    changed('nothing is dumped to a log: every flow is stored, `flowdam flows`'),
  ),
  dump_other_traffic: offOr(
    'dump_other_traffic',
    changed(
      'nothing is dumped to a log: the counter flowdam_dropped_total{reason="not_protected"} and `flowdam flows` tell',
    ),
  ),
  ban_details_records_count: always(
    irrelevant(
      'a ban does not wait for packets; the report ends before the packet dump, the flows are stored',
    ),
  ),
  ban_time: (conf) =>
    conf.number('ban_time', 1) === 0
      ? changed('ban.duration: 365d; a ban without an end does not exist, `flowdam bans remove` ends one')
      : changed(
          'ban.duration, from the moment when the attack was last seen; repeated bans last longer, up to ban.max_duration',
        ),
  unban_only_if_attack_finished: (conf) =>
    conf.isOn('unban_only_if_attack_finished', true)
      ? translated('always so: a ban is extended while its attack is seen')
      : missing('a ban is always extended while its attack is seen'),
  networks_list_path: (_, { networksFile }) => translated(`networks, from ${networksFile}`),
  white_list_path: (_, { whitelistFile }) =>
    whitelistFile === '' ? irrelevant('there is no such file') : translated(`exempt, from ${whitelistFile}`),
  check_period: always(irrelevant('`flowdam top --watch` has its own rhythm')),
  enable_connection_tracking: always(irrelevant('every flow is counted in the kernel, always')),
  average_calculation_time: always(
    changed(
      'window of the thresholds: a sum, not a moving average; a flood of 5 times the threshold is noticed in a fifth of it. Shorten it to 1s for faster bans',
    ),
  ),
  average_calculation_time_for_subnets: always(
    irrelevant('subnets have thresholds of their own, carpet, with the same window'),
  ),
  enable_subnet_counters: offOr(
    'enable_subnet_counters',
    changed(
      'hostgroups are counted in total always (metrics, `flowdam top`); other prefixes are by thresholds of carpet',
    ),
  ),
  speed_calculation_delay: always(
    irrelevant('agents tell ten times a second: detect_interval in agent.yaml'),
  ),
  notify_script_path: (_, { notify }) => notify,
  notify_script_pass_details: always(irrelevant('the report is always on standard input')),
  collect_attack_pcap_dumps: offOr(
    'collect_attack_pcap_dumps',
    missing('no packets are kept; every flow of the attack is (`flowdam attacks show`, `flowdam flows`)'),
  ),
  process_pcap_attack_dumps_with_dpi: offOr(
    'process_pcap_attack_dumps_with_dpi',
    missing('no packets are kept or inspected; the type of an attack comes from its counters'),
  ),
  graphite_number_of_ips: always(ignored('FastNetMon has not used it for long')),
  exabgp: exabgp((conf) =>
    conf.isOn('exabgp_announce_host')
      ? translated('hook exabgp, which writes the same lines to the same pipe')
      : missing('nothing is announced: exabgp_announce_host is not on'),
  ),
  exabgp_command_pipe: exabgp(exabgpHost('EXABGP_FIFO')),
  exabgp_next_hop: exabgp(exabgpHost('NEXT_HOP_4')),
  exabgp_community: exabgp((conf, known) =>
    conf.find('exabgp_community_host')
      ? irrelevant('exabgp_community_host stands for it')
      : exabgpHost('COMMUNITIES')(conf, known),
  ),
  exabgp_community_host: exabgp(exabgpHost('COMMUNITIES')),
  exabgp_community_subnet: exabgp(subnet('exabgp_announce_whole_subnet', 'the hook')),
  exabgp_announce_host: exabgp(offOr('exabgp_announce_host', translated('hook exabgp'))),
  exabgp_announce_whole_subnet: exabgp(subnet('exabgp_announce_whole_subnet', 'the hook')),
  exabgp_flow_spec_announces: exabgp(
    offOr(
      'exabgp_flow_spec_announces',
      missing('not with the pipe: the hook exabgp-flowspec announces rules (docs/bgp.md)'),
    ),
  ),
  gobgp: gobgp(always(translated('hooks gobgp-ipv4 and gobgp-ipv6, as gobgp_announce_host… say'))),
  gobgp_next_hop: gobgpHost('', 'NEXT_HOP_4'),
  gobgp_announce_host: gobgpHost('', 'the hook is there'),
  gobgp_announce_whole_subnet: gobgp(subnet('gobgp_announce_whole_subnet', 'the hook')),
  gobgp_community_host: gobgpHost('', 'COMMUNITIES'),
  gobgp_community_subnet: gobgp(subnet('gobgp_announce_whole_subnet', 'the hook')),
  gobgp_next_hop_ipv6: gobgpHost('_ipv6', 'NEXT_HOP_6'),
  gobgp_announce_host_ipv6: gobgpHost('_ipv6', 'the hook is there'),
  gobgp_announce_whole_subnet_ipv6: gobgp(subnet('gobgp_announce_whole_subnet_ipv6', 'the hook')),
  gobgp_community_host_ipv6: gobgpHost('_ipv6', 'COMMUNITIES'),
  gobgp_community_subnet_ipv6: gobgp(subnet('gobgp_announce_whole_subnet_ipv6', 'the hook')),
  interfaces: (conf) =>
    captures(conf)
      ? changed('agent.yaml: interfaces, of the machine on which the agent runs')
      : irrelevant('nothing that captures on interfaces is on'),
  monitor_local_ip_addresses: offOr(
    'monitor_local_ip_addresses',
    missing("this machine's own addresses are not added: put those that are to be protected into networks"),
  ),
  monitor_openvz_vps_ip_addresses: offOr(
    'monitor_openvz_vps_ip_addresses',
    missing('the addresses of /proc/vz/veip are not added: put them into networks'),
  ),
  pid_path: always(irrelevant('systemd knows the process')),
  cli_stats_file_path: always(irrelevant('`flowdam top` asks the API')),
  cli_stats_ipv6_file_path: always(irrelevant('`flowdam top` asks the API')),
  enable_api: offOr(
    'enable_api',
    changed(
      'fastnetmon_api, which answers fastnetmon_api_client; a comment until FastNetMon no longer has the port',
    ),
  ),
  sort_parameter: always(irrelevant('`flowdam top --by pps|bps|flows`')),
  max_ips_in_list: always(irrelevant('`flowdam top --limit`')),
}

const ALL_KEYS: readonly string[] = ['hostgroup', ...Object.keys(RULES), ...BAN_KEYS, ...FEATURE_KEYS]

/** One finding for every line of the file that says something. */
export function judgeLines(conf: Conf, known: Known): Finding[] {
  const found = conf.lines.map((entry) => ({ ...entry, value: shown(entry), ...fateOf(conf, entry, known) }))
  const unreadable = conf.unreadable.map(({ line, text }) => ({
    line,
    key: text,
    value: '',
    ...ignored('not KEY = VALUE: FastNetMon logs the line and goes on'),
  }))
  return [...found, ...unreadable]
    .sort((a, b) => a.line - b.line)
    .map((finding) => ({ file: conf.file, ...finding }))
}

/** A report is passed on to others. */
function shown({ key, value }: ConfLine): string {
  return key.endsWith('password') && value !== '' ? '(hidden)' : value
}

function fateOf(conf: Conf, entry: ConfLine, known: Known): Fate {
  const { key } = entry
  if (key === 'hostgroup') return known.hostgroupFates.get(entry) ?? ignored('not NAME:PREFIXES')
  const last = conf.find(key)
  if (last && last.line !== entry.line) return irrelevant(`line ${last.line} says it again, and counts`)
  const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined
  if (rule) return rule(conf, known)
  return (
    thresholdFate(conf, '', key, 'thresholds') ??
    featureFate(conf, key) ??
    hostgroupFate(conf, key, known) ??
    unknown(key)
  )
}

/** `NAME_threshold_pps`: FastNetMon reads it for the hostgroups that there are. */
function hostgroupFate(conf: Conf, key: string, { hostgroups }: Known): Fate | undefined {
  for (const group of hostgroups) {
    const rest = key.startsWith(`${group}_`) ? key.slice(group.length + 1) : ''
    if (rest === 'enable_ban') {
      return translated(
        conf.isOn(key)
          ? `hostgroup ${group}: its thresholds are in force`
          : `hostgroup ${group}: no thresholds`,
      )
    }
    if (rest === 'enable_ban_ipv6') return irrelevant('hostgroups of FastNetMon are IPv4')
    const fate = thresholdFate(conf, `${group}_`, rest, `hostgroup ${group}`)
    if (fate) return fate
  }
  const base = BAN_KEYS.filter((known) => key.endsWith(`_${known}`)).sort((a, b) => b.length - a.length)[0]
  if (base === undefined) return undefined
  return ignored(`there is no hostgroup '${key.slice(0, -base.length - 1)}'`)
}

function unknown(key: string): Fate {
  const close = nearest(key, ALL_KEYS)
  return missing(`FastNetMon Community 1.2 knows no such key${close ? `; did you mean ${close}?` : ''}`)
}
