// SPDX-License-Identifier: Apache-2.0
//
// Parts of FastNetMon that one switch turns on: while it is off, none of their keys matters.
import type { Conf } from './conf-file.js'
import { changed, type Fate, irrelevant, missing } from './finding.js'

interface Feature {
  switch: string
  /** What it is called in a sentence. */
  what: string
  keys: readonly string[]
  /** What becomes of the switch where it is on. */
  on: Fate
  /** What turns it on beside `on`. */
  also?: string
}

const CAPTURE = 'docs/agent-config.md'

const FEATURES: readonly Feature[] = [
  {
    switch: 'logging_local_syslog_logging',
    what: 'local syslog',
    keys: [],
    on: changed('the daemons log JSON lines on standard error, which systemd puts into the journal'),
  },
  {
    switch: 'logging_remote_syslog_logging',
    what: 'remote syslog',
    keys: ['logging_remote_syslog_server', 'logging_remote_syslog_port'],
    on: missing('no syslog over the network: have the journal forwarded (rsyslog, systemd-journal-upload)'),
  },
  // The same, as they were written before 1.2.
  {
    switch: 'logging:local_syslog_logging',
    what: 'local syslog',
    keys: [],
    on: changed('the daemons log JSON lines on standard error, which systemd puts into the journal'),
  },
  {
    switch: 'logging:remote_syslog_logging',
    what: 'remote syslog',
    keys: ['logging:remote_syslog_server', 'logging:remote_syslog_port'],
    on: missing('no syslog over the network: have the journal forwarded (rsyslog, systemd-journal-upload)'),
  },
  {
    switch: 'redis_enabled',
    also: 'yes',
    what: 'Redis',
    keys: ['redis_host', 'redis_port', 'redis_prefix'],
    on: missing(
      'attacks are in ClickHouse and in the API, not in Redis; a hook (format: json) can put them there',
    ),
  },
  {
    switch: 'mongodb_enabled',
    what: 'MongoDB',
    keys: ['mongodb_host', 'mongodb_port', 'mongodb_database_name'],
    on: missing(
      'attacks are in ClickHouse and in the API, not in MongoDB; a hook (format: json) can put them there',
    ),
  },
  {
    switch: 'influxdb',
    what: 'InfluxDB',
    keys: [
      'influxdb_host',
      'influxdb_port',
      'influxdb_database',
      'influxdb_auth',
      'influxdb_user',
      'influxdb_password',
      'influxdb_push_period',
    ],
    on: missing(
      'metrics are for Prometheus to fetch, traffic is in ClickHouse; Telegraf can fetch /metrics for InfluxDB',
    ),
  },
  {
    switch: 'graphite',
    what: 'Graphite',
    keys: ['graphite_host', 'graphite_port', 'graphite_prefix', 'graphite_push_period'],
    on: missing('metrics are for Prometheus to fetch, traffic is in ClickHouse; nothing is sent to Graphite'),
  },
  {
    switch: 'kafka_traffic_export',
    what: 'Kafka',
    keys: ['kafka_traffic_export_topic', 'kafka_traffic_export_format', 'kafka_traffic_export_brokers'],
    on: missing(
      'flows go to ClickHouse, exactly once, and not to Kafka; the API streams them (StreamFlows, WatchFlows)',
    ),
  },
  {
    switch: 'prometheus',
    what: 'Prometheus',
    keys: ['prometheus_host', 'prometheus_port'],
    on: changed('listen.http has /metrics, always; the metrics have other names (docs/metrics.md)'),
  },
  {
    switch: 'clickhouse_metrics',
    what: 'ClickHouse metrics',
    keys: [
      'clickhouse_metrics_host',
      'clickhouse_metrics_port',
      'clickhouse_metrics_database',
      'clickhouse_metrics_username',
      'clickhouse_metrics_password',
      'clickhouse_metrics_push_period',
      'clickhouse_metrics_per_protocol_counters',
    ],
    on: changed(
      "store.fastnetmon_tables: the same tables in our own store; for your server set store to engine 'clickhouse' (HTTP port, docs/store.md)",
    ),
  },
  {
    switch: 'netflow',
    what: 'NetFlow',
    keys: ['netflow_host', 'netflow_port', 'netflow_sampling_ratio'],
    on: missing('NetFlow and IPFIX are not read: put an agent where the traffic passes, or at a mirror port'),
  },
  {
    switch: 'sflow',
    what: 'sFlow',
    keys: [
      'sflow_host',
      'sflow_port',
      'sflow_read_packet_length_from_ip_header',
      'sflow_extract_tunnel_traffic',
    ],
    on: missing('sFlow is not read: put an agent where the traffic passes, or at a mirror port'),
  },
  {
    switch: 'mirror',
    what: 'the PF_RING mirror',
    keys: ['pfring_sampling_ratio', 'enable_pf_ring_zc_mode'],
    on: changed(`an agent counts by XDP instead: agent.yaml (${CAPTURE})`),
  },
  {
    switch: 'mirror_afpacket',
    what: 'AF_PACKET',
    keys: [
      'mirror_af_packet_custom_sampling_rate',
      'mirror_af_packet_fanout_mode',
      'afpacket_strict_cpu_affinity',
      'af_packet_read_packet_length_from_ip_header',
    ],
    on: changed(`an agent counts by XDP instead: agent.yaml (${CAPTURE})`),
  },
  {
    switch: 'mirror_afxdp',
    what: 'AF_XDP',
    keys: [
      'poll_mode_xdp',
      'xdp_set_promisc',
      'zero_copy_xdp',
      'force_native_mode_xdp',
      'xdp_read_packet_length_from_ip_header',
      'microcode_xdp_path',
    ],
    on: changed(
      `an agent counts by XDP inside the kernel, packets go on their way: agent.yaml; mode: tap drops them as AF_XDP does (${CAPTURE})`,
    ),
  },
  {
    switch: 'mirror_netmap',
    what: 'netmap',
    keys: ['netmap_sampling_ratio', 'netmap_read_packet_length_from_ip_header'],
    on: changed(`an agent counts by XDP instead: agent.yaml (${CAPTURE})`),
  },
  {
    switch: 'pcap',
    what: 'pcap',
    keys: [],
    on: changed(`an agent counts by XDP instead: agent.yaml (${CAPTURE})`),
  },
]

/** The ways of capturing that have an agent in their place. */
const CAPTURES = ['mirror', 'mirror_afpacket', 'mirror_afxdp', 'mirror_netmap', 'pcap']

export const FEATURE_KEYS: readonly string[] = FEATURES.flatMap((feature) => [
  feature.switch,
  ...feature.keys,
])

export function featureIsOn(conf: Conf, key: string): boolean {
  const also = FEATURES.find((feature) => feature.switch === key)?.also
  return conf.isOn(key) || (also !== undefined && conf.text(key) === also)
}

/** Whether FastNetMon captured packets on interfaces. */
export function captures(conf: Conf): boolean {
  return CAPTURES.some((key) => featureIsOn(conf, key))
}

/** What changes the counts, where it is not as it comes. */
const SAMPLING = /sampling_(rate|ratio)$/
const CROPPED = /read_packet_length_from_ip_header$/

export function featureFate(conf: Conf, key: string): Fate | undefined {
  const feature = FEATURES.find((one) => one.switch === key || one.keys.includes(key))
  if (!feature) return undefined
  if (!featureIsOn(conf, feature.switch)) return irrelevant(`${feature.what} is not on`)
  if (key === feature.switch) return feature.on
  if (SAMPLING.test(key) && conf.number(key, 1) > 1) {
    return missing(
      'nothing is multiplied here: a sampled mirror port shows less than there is; mirror everything',
    )
  }
  if (CROPPED.test(key) && conf.isOn(key)) {
    return missing('packets that a mirror port crops count with the length that arrives: mirror them whole')
  }
  if (key === 'force_native_mode_xdp' && conf.isOn(key))
    return { verdict: 'translated', text: 'agent.yaml: attach: native' }
  return irrelevant(`belongs to ${feature.what}: see ${feature.switch}`)
}
