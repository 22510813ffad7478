// SPDX-License-Identifier: Apache-2.0
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import type {
  Attack as ApiAttack,
  AttackDetail as ApiDetail,
  AttackServiceServer,
  TrafficShare,
  WatchAttacksResponse,
} from '@flowdam/proto'
import type { Attack } from '../attacks/attack.js'
import type { AttackEvent, Attacks } from '../attacks/attacks.js'
import type { AttackDetail } from '../attacks/detail/detail.js'
import type { StoredAttacksQuery } from '../attacks/history.js'
import { type Amount, TRAFFIC_CLASSES } from '../detect/traffic.js'
import { apiDirection } from './convert.js'
import { pageById, readPageToken } from './page.js'
import { unary } from './status-error.js'
import { sendEvents } from './watch.js'

const DEFAULT_LIST = 100
const MOST_LIST = 10_000

/** Attacks that a former process wrote into the store, newest first. */
export type StoredAttacks = (what: StoredAttacksQuery) => Promise<Attack[]>

export function attackService(attacks: Attacks, stored: StoredAttacks, log: Logger): AttackServiceServer {
  const fromStore: StoredAttacks = async (what) => {
    try {
      return await stored(what)
    } catch (error) {
      log.warn({ err: describeError(error) }, 'attacks of former times are not to be had')
      return []
    }
  }
  return {
    listAttacks: unary(log, async ({ includeEnded, limit, pageToken }, _call, signal) => {
      const most = Math.min(limit || DEFAULT_LIST, MOST_LIST)
      const kind = `attacks ${includeEnded}`
      const [after] = readPageToken(kind, pageToken) ?? []
      const ours = attacks.list(includeEnded, Number.POSITIVE_INFINITY)
      const known = new Set(ours.map(({ id }) => id))
      // One more than a page, so that it is known whether another follows.
      const older = includeEnded
        ? await fromStore({ limit: most + known.size + 1, before: String(after ?? ''), signal })
        : []
      const all = [...ours, ...older.filter(({ id }) => !known.has(id))].sort((a, b) =>
        a.id < b.id ? 1 : -1,
      )
      const { page, nextPageToken } = pageById(kind, all, most, pageToken)
      return { attacks: page.map(apiAttack), nextPageToken }
    }),
    getAttack: unary(log, async ({ id }, _call, signal) => {
      const attack =
        attacks.get(id) ?? (id === '' ? undefined : (await fromStore({ limit: 1, id, signal }))[0])
      if (!attack) throw new FlowdamError('FD_ATTACK_UNKNOWN', `no attack has the id '${id}'`)
      return { attack: apiAttack(attack) }
    }),
    watchAttacks: (call) =>
      sendEvents(call, log, {
        state: () =>
          attacks.active().map((attack) => apiEvent({ event: 'state', atUnixMs: Date.now(), attack })),
        watch: (send) => attacks.watch((event) => send(apiEvent(event))),
      }),
  }
}

function apiEvent({ event, atUnixMs, attack }: AttackEvent): WatchAttacksResponse {
  return { event, atUnixMs, attack: apiAttack(attack) }
}

export function apiAttack(attack: Attack): ApiAttack {
  const { mix, direction, detail, ...rest } = attack
  const share = (name: string, { packets, bytes }: Amount): TrafficShare => ({
    name,
    packets: mix.packets > 0 ? packets / mix.packets : 0,
    bytes: mix.bytes > 0 ? bytes / mix.bytes : 0,
  })
  return {
    ...rest,
    direction: apiDirection(direction),
    classes: TRAFFIC_CLASSES.map((name) => share(name, mix.classes[name])).filter(
      ({ packets }) => packets > 0,
    ),
    vectors: mix.vectors.map((vector) => share(vector.name, vector)),
    fragments: share('fragments', mix.fragments),
    averagePacketBytes: mix.packets > 0 ? mix.bytes / mix.packets : 0,
    bans: [...attack.bans],
    // Rows of an earlier version have neither.
    endReason: attack.endReason ?? '',
    rule: attack.rule ?? '',
    level: attack.level?.name ?? '',
    sources: detail?.sources,
    detail: detail && apiDetail(detail),
  }
}

function apiDetail(detail: AttackDetail): ApiDetail {
  const { spoofing, sizes, ttl, sample, ...rest } = detail
  return {
    ...rest,
    sizeMin: sizes.min,
    sizeMax: sizes.max,
    sizes: sizes.counts,
    ttlMin: ttl.min,
    ttlMax: ttl.max,
    ttlDistinct: ttl.distinct,
    ttls: ttl.common,
    spoofing,
    sample: sample.map((flow) => ({ ...flow, agent: '', interface: '', direction: '', vlan: 0, dscp: 0 })),
  }
}
