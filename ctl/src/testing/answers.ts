// SPDX-License-Identifier: Apache-2.0
import {
  type AddBanRequest,
  type Agent,
  type Attack,
  type AuditEntry,
  type Ban,
  type Baseline,
  Direction,
  type Flow,
  type GetConfigResponse,
  type GetHostResponse,
  type GetStatusResponse,
  type HostRates,
  type ListAuditResponse,
  type QueryFlowsResponse,
  type TopTalkersResponse,
  type ValidateConfigResponse,
} from '@flowdam/proto'

/** 2026-11-22 04:49:07 UTC. */
export const NOW = Date.UTC(2026, 10, 22, 4, 49, 7)

export const status: GetStatusResponse = {
  version: '0.1.0',
  startedUnixMs: NOW,
  agentsConnected: 2,
  agentsWaiting: {
    records: 1234,
    oldestAgeMs: 95_400,
    fullestAgent: 'edge2',
    fullestFill: 0.88,
    gapBatches: 3,
    elsewhereBatches: 2,
  },
  clockSteps: 1,
  incoming: { pps: 123_456, bps: 1_234_567_890, flows: 350 },
  outgoing: { pps: 20_000, bps: 15_000_000, flows: 12 },
  bansActive: 2,
  dryRun: false,
  store: {
    engine: 'embedded',
    state: 'ok',
    rowsStored: 12_345_678,
    rowsPerSecond: 4321,
    spoolSegments: 1,
    spoolBytes: 1_048_576,
    lagMs: 850,
    lastError: '',
    insertMs: 412,
    retries: { retry: 0, crowded: 0, schema: 0, bad_data: 0 },
    parts: 14,
    spoolMaxBytes: 4e9,
    spoolState: 'ok',
    diskState: 'ok',
    diskFreeBytes: 400e9,
    diskReserveBytes: 1e9,
  },
  attacksActive: 1,
  banControl: { state: 'running', sinceUnixMs: 0, who: '', reason: '' },
  drops: [],
  trackedAddresses: 254,
  flows: { received: 12_345_700, duplicate: 0, spooled: 12_345_700, stored: 12_345_678 },
  ledger: {
    seenPackets: 1000,
    seenBytes: 640_000,
    flowPackets: 900,
    flowBytes: 600_000,
    overflowPackets: 60,
    overflowBytes: 30_000,
    notIpPackets: 30,
    notIpBytes: 8_000,
    malformedPackets: 10,
    malformedBytes: 2_000,
    droppedPackets: 5,
    droppedBytes: 300,
  },
}

export const agents: Agent[] = [
  {
    id: 'edge1',
    connected: true,
    version: '0.1.0',
    hostname: 'edge1.example.net',
    kernel: '6.1.0-31-amd64',
    interfaces: [
      { name: 'eth0', boundary: 'external', attachMode: 'native' },
      { name: 'eth1', boundary: 'internal', attachMode: 'generic' },
    ],
    lastSeenUnixMs: NOW,
    clockSkewMs: -12,
    lawViolations: 0,
    queuedRecords: 0,
    rssBytes: 96 * 1024 * 1024,
    queuedBatches: 0,
    queuedBytes: 0,
    queueMaxBytes: 64 * 1024 * 1024,
    spoolBytes: 0,
    spoolMaxBytes: 1024 * 1024 * 1024,
    oldestAgeMs: 0,
    spoolErrors: 0,
    droppedRecords: {},
    gapBatches: 0,
    elsewhereBatches: 0,
    maybeDoubledRecords: 0,
    clockSteps: 0,
  },
  {
    id: 'edge2',
    connected: false,
    version: '0.1.0',
    hostname: 'edge2.example.net',
    kernel: '5.15.0-91-generic',
    interfaces: [],
    lastSeenUnixMs: NOW - 90_000,
    clockSkewMs: 3,
    lawViolations: 0,
    queuedRecords: 1234,
    rssBytes: 80 * 1024 * 1024,
    queuedBatches: 9,
    queuedBytes: 0,
    queueMaxBytes: 64 * 1024 * 1024,
    spoolBytes: 900 * 1024 * 1024,
    spoolMaxBytes: 1024 * 1024 * 1024,
    oldestAgeMs: 95_400,
    spoolErrors: 0,
    droppedRecords: { spool_full: 4000 },
    gapBatches: 3,
    elsewhereBatches: 2,
    maybeDoubledRecords: 0,
    clockSteps: 1,
  },
]

export const hosts: HostRates[] = [
  {
    address: '203.0.113.5',
    hostgroup: 'default',
    incoming: { pps: 98_000, bps: 1_100_000_000, flows: 300 },
    outgoing: { pps: 15_000, bps: 12_000_000, flows: 10 },
    banned: true,
  },
  {
    address: '2001:db8:1234:5678:9abc:def0:1234:5678',
    hostgroup: 'customers',
    incoming: { pps: 900, bps: 7_000_000, flows: 20.5 },
    outgoing: { pps: 1_200, bps: 800_000, flows: 2 },
    banned: false,
  },
]

export const detectedBan: Ban = {
  id: '01K9XJ3V0000000000000001',
  prefix: '203.0.113.5/32',
  direction: Direction.DIRECTION_INCOMING,
  state: 'banned',
  metric: 'pps',
  threshold: 20_000,
  value: 98_321,
  rates: { pps: 98_321, bps: 1_100_000_000, flows: 300 },
  hostgroup: 'default',
  detectedUnixMs: NOW - 120_000,
  bannedUnixMs: NOW - 119_964,
  untilUnixMs: 0,
  unbannedUnixMs: 0,
  who: 'detector',
  by: 'detector',
  endedBy: '',
  reason: 'pps 98321 over 20000 within 1 s',
  dryRun: false,
  attackId: '',
  attackType: '',
  level: '',
  action: 'blackhole',
  steps: [],
  lastSeenUnixMs: NOW,
  drops: false,
  droppedPackets: 0,
  droppedBytes: 0,
  dropAgents: 0,
  hooks: [
    {
      hook: 'gobgp',
      action: 'ban',
      startedUnixMs: NOW - 119_960,
      durationMs: 35,
      exitCode: 0,
      result: 'ok',
      output: 'announced 203.0.113.5/32 65535:666\n',
      attempt: 1,
    },
    {
      hook: 'mail',
      action: 'ban',
      startedUnixMs: NOW - 119_960,
      durationMs: 2_000,
      exitCode: 7,
      result: 'failed',
      output: '\x1b[31mno mail server\x1b[0m\n',
      attempt: 1,
    },
  ],
}

export const manualBan: Ban = {
  ...detectedBan,
  id: '01K9XJ3V0000000000000002',
  prefix: '2001:db8::5/128',
  metric: 'manual',
  threshold: 0,
  value: 0,
  rates: { pps: 0, bps: 0, flows: 0 },
  detectedUnixMs: 0,
  bannedUnixMs: NOW - 3_600_000,
  who: 'bob@noc',
  reason: 'ticket 4711',
  attackId: '',
  attackType: '',
  hooks: [],
}

export function addedBan({ prefix, direction, durationS, reason, who }: AddBanRequest): Ban {
  const bannedUnixMs = Date.now()
  return {
    ...manualBan,
    prefix: prefix.includes('/') ? prefix : `${prefix}/32`,
    direction,
    reason,
    who,
    bannedUnixMs,
    untilUnixMs: durationS === 0 ? 0 : bannedUnixMs + durationS * 1000,
  }
}

export function endedBan(target: string): Ban {
  return {
    ...detectedBan,
    prefix: target.includes('/') ? target : `${target}/32`,
    state: 'unbanned',
    unbannedUnixMs: detectedBan.bannedUnixMs + 754_000,
  }
}

export function host(address: string): GetHostResponse {
  const banned = address === '203.0.113.5'
  return {
    rates: { address, hostgroup: 'default', incoming: rates(12_300), outgoing: rates(500), banned },
    thresholds: [
      {
        direction: Direction.DIRECTION_INCOMING,
        metric: 'pps',
        threshold: 20_000,
        current: 12_300,
        of: '',
        source: 'learned',
        basis: '5 × 4 k, which is usual around Sunday 04:00 UTC',
        rule: '',
      },
      {
        direction: Direction.DIRECTION_INCOMING,
        metric: 'bps',
        threshold: 1e9,
        current: 98_400_000,
        of: '',
        source: 'configured',
        basis: '',
        rule: 'hostgroups[default].incoming.bps',
      },
      {
        direction: Direction.DIRECTION_OUTGOING,
        metric: 'syn_pps',
        threshold: 50_000,
        current: 0,
        of: '',
        source: 'configured',
        basis: '',
        rule: 'hostgroups[default].outgoing.syn_pps',
      },
    ],
    ban: banned ? detectedBan : undefined,
    levels: [],
    reason: banned
      ? 'Banned as 203.0.113.5/32 because the detector saw pps 98321 over 20000.'
      : "Not banned: incoming pps is at 62 % of its threshold (hostgroup 'default') and nothing else is nearer.",
    attacks: banned ? [attack] : [],
    lastBan: banned ? undefined : endedBan(address),
  }
}

function rates(pps: number) {
  return { pps, bps: pps * 8000, flows: 35 }
}

export function talkers(of: string): TopTalkersResponse {
  const none = { address: '', protocol: 0, port: 0 }
  const named =
    of === 'port'
      ? [
          { ...none, protocol: 6, port: 443 },
          { ...none, protocol: 17, port: 53 },
        ]
      : [
          { ...none, address: '203.0.113.5' },
          { ...none, address: '2001:db8::5' },
        ]
  return {
    talkers: named.map((name, i) => ({ ...name, flows: 20 - i, packets: 4000 - i, bytes: 3_000_000 >> i })),
    totalFlows: 50,
    totalPackets: 9000,
    totalBytes: 6_000_000,
    elapsedMs: 12,
    fromUnixMs: NOW - 3_600_000,
    toUnixMs: NOW,
    rowsRead: 1234,
    tables: ['minutes', 'flows'],
  }
}

export const flows: QueryFlowsResponse = {
  nextPageToken: '',
  flows: [
    flow({
      srcAddr: '198.51.100.7',
      srcPort: 53,
      dstAddr: '203.0.113.5',
      dstPort: 4444,
      protocol: 17,
      packets: 1200,
      bytes: 1_500_000,
    }),
    flow({
      srcAddr: '2001:db8:ffff::1',
      srcPort: 51_000,
      dstAddr: '2001:db8::5',
      dstPort: 443,
      protocol: 6,
      tcpFlags: 0x12,
    }),
    flow({ srcAddr: '198.51.100.9', srcPort: 8, dstAddr: '203.0.113.6', dstPort: 0, protocol: 1, marks: 1 }),
    flow({ srcAddr: '::', dstAddr: '203.0.113.5', protocol: 17, packets: 5_000_000, bytes: 3e9, marks: 16 }),
  ],
  totalFlows: 4567,
  totalPackets: 5_001_234,
  totalBytes: 3_001_500_000,
  elapsedMs: 12,
}

function flow(fields: Partial<Flow>): Flow {
  return {
    timeUnixMs: NOW,
    durationMs: 350,
    agent: 'edge1',
    interface: 'eth0',
    direction: 'ingress',
    srcAddr: '',
    dstAddr: '',
    srcPort: 0,
    dstPort: 0,
    protocol: 0,
    vlan: 0,
    packets: 1,
    bytes: 60,
    tcpFlags: 0,
    dscp: 0,
    ttl: 57,
    marks: 0,
    ...fields,
  }
}

const sources = {
  addresses: [{ name: '198.51.100.53', packets: 1_000_000, bytes: 1_300_000_000 }],
  prefixes: [{ name: '198.51.100.0/24', packets: 2_000_000, bytes: 2_600_000_000 }],
  ports: [{ name: '53', packets: 8_900_000, bytes: 11_900_000_000 }],
  distinct: 1234,
}

export const attack: Attack = {
  id: '20261122T044707.000-9f3a1c',
  scope: 'host',
  target: '203.0.113.5',
  direction: Direction.DIRECTION_INCOMING,
  type: 'pulse',
  traffic: 'dns_amplification',
  hostgroup: 'default',
  metric: 'pps',
  threshold: 20_000,
  value: 98_321,
  peak: { pps: 98_321, bps: 1_100_000_000, flows: 300 },
  now: { pps: 50_000, bps: 600_000_000, flows: 100 },
  packets: 9_000_000,
  bytes: 12_000_000_000,
  startedUnixMs: NOW - 120_000,
  lastSeenUnixMs: NOW - 200,
  endedUnixMs: 0,
  bursts: 4,
  classes: [{ name: 'udp', packets: 0.99, bytes: 0.999 }],
  vectors: [{ name: 'dns', packets: 0.97, bytes: 0.99 }],
  fragments: { name: 'fragments', packets: 0, bytes: 0 },
  averagePacketBytes: 1333.3,
  bans: ['01K9XJ3V0000000000000001'],
  endReason: '',
  rule: 'hostgroups[default].incoming.pps',
  level: 'blackhole',
  sources,
  detail: {
    flows: 45_000,
    packets: 9_000_000,
    bytes: 12_000_000_000,
    missingPackets: 1_000_000,
    missingBytes: 1_300_000_000,
    sources,
    targetPorts: [{ name: '40000', packets: 9_000_000, bytes: 12_000_000_000 }],
    protocols: [{ name: 'udp', packets: 10_000_000, bytes: 13_300_000_000 }],
    sizeMin: 60,
    sizeMax: 1500,
    sizes: [
      { upTo: 64, packets: 90_000 },
      { upTo: 1500, packets: 8_910_000 },
    ],
    tcpFlags: [{ name: 'SYN', packets: 90_000, bytes: 3_600_000 }],
    ttlMin: 40,
    ttlMax: 64,
    ttlDistinct: 9,
    ttls: [{ name: '57', packets: 4_500_000, bytes: 6_000_000_000 }],
    spoofing: { sampled: 900, suspect: 0.25, singlePacket: 0.2, ttlDisagrees: 0.05, bogon: 0.02 },
    sample: [flow({ srcAddr: '198.51.100.53', srcPort: 53 })],
  },
}

export const baseline: Baseline = {
  scope: 'host',
  target: '203.0.113.5',
  hostgroup: 'default',
  ready: true,
  learnedHours: 212,
  neededHours: 168,
  activeUnixMs: NOW,
  metrics: [
    {
      direction: Direction.DIRECTION_INCOMING,
      metric: 'pps',
      threshold: 6000,
      learned: true,
      configured: 20_000,
      usual: 1200,
      factor: 5,
      floor: 5000,
      ceiling: 20_000,
      busiest: 3000,
      busiestHour: 'Tuesday 14:00 UTC',
      suggested: 15_000,
      week: Array.from({ length: 168 }, (_, hour) => (hour === 0 ? -1 : hour === 38 ? 3000 : 1200)),
    },
  ],
}

/** At the second of three levels, with an update that failed. */
export const levelBan: Ban = {
  ...detectedBan,
  id: '01K9XJ3V0000000000000003',
  prefix: '203.0.113.7/32',
  level: 'filter',
  action: 'drop',
  steps: [
    step('notice', 'notify', 1, NOW - 120_000, 25_000),
    step('filter', 'drop', 2, NOW - 60_000, 45_000),
  ],
  drops: true,
  droppedPackets: 1_234_567,
  droppedBytes: 74_074_020,
  dropAgents: 2,
}

function step(level: string, action: string, at: number, atUnixMs: number, value: number): Ban['steps'][0] {
  return { level, action, at, atUnixMs, who: 'detector', metric: 'pps', threshold: 20_000, value }
}

export const config: GetConfigResponse = {
  yaml: 'networks:\n  - 203.0.113.0/24\n',
  file: 'aggregator.yaml',
  loadedUnixMs: NOW,
  needRestart: [],
}

/** Wrong where it says so. */
export function validated(yaml: string): ValidateConfigResponse {
  if (!yaml.startsWith('bad')) {
    return { valid: true, complaints: [], changes: ['ban.duration: 30m → 1h'], needRestart: [] }
  }
  const complaints = [{ line: 1, column: 1, path: 'bad', message: 'unknown key' }]
  return { valid: false, complaints, changes: [], needRestart: [] }
}

const AUDIT: AuditEntry[] = [
  audited('3', { by: 'token:noc', method: 'flowdam.v1.BanService/AddBan', who: 'alice' }),
  audited('2', {
    method: 'flowdam.v1.BanService/RemoveBan',
    status: 'UNAUTHENTICATED',
    error: 'FD_API_UNAUTHENTICATED: the token is not known here',
  }),
  audited('1', { by: 'signal', method: 'reload' }),
]

function audited(id: string, entry: Partial<AuditEntry>): AuditEntry {
  return {
    id,
    atUnixMs: NOW,
    by: 'unknown',
    peer: '192.0.2.7:4711',
    method: '',
    request: '{}',
    status: 'OK',
    error: '',
    suppressed: 0,
    who: '',
    ...entry,
  }
}

/** Two at most in a page. */
export function auditPage(pageToken: string, limit: number): ListAuditResponse {
  const from = Number(pageToken)
  const entries = AUDIT.slice(from, from + Math.min(2, limit))
  const next = from + entries.length
  return { entries, nextPageToken: next < AUDIT.length ? String(next) : '' }
}
