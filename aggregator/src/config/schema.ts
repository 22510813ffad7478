// SPDX-License-Identifier: Apache-2.0
//
// aggregator.yaml. docs/aggregator-config.md is the reference; names, defaults and units must agree with it.
import {
  FlowdamError,
  type HostPort,
  type Prefix,
  parseHostPort,
  parsePrefix,
  parseRate,
  zDuration,
  zRate,
  zSize,
} from '@flowdam/common'
import { z } from 'zod'
import { ROLES } from '../access/roles.js'
import { LEVEL_ACTIONS } from '../bans/levels.js'
import { METRICS, type Metric } from '../detect/slots.js'
import { DEFAULT_STORE, zStore } from '../store/config.js'

/** A string that `parse` understands; its complaint becomes the file's. */
function parsed<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
      return z.NEVER
    }
  })
}

const zPrefix = parsed<Prefix>(parsePrefix)
const zHostPort = parsed<HostPort>(parseHostPort)

/** A rate above zero, or `off` to undo an inherited one (null). */
const zThreshold = z
  .union([z.string(), z.number(), z.literal(false)])
  .transform((input, context): number | null => {
    if (input === false || input === 'off') return null
    try {
      const rate = parseRate(input)
      if (rate > 0) return rate
      context.addIssue({
        code: 'custom',
        message: "a threshold of 0 would ban at the first packet; write 'off'",
      })
    } catch (error) {
      context.addIssue({ code: 'custom', message: FlowdamError.is(error) ? error.message : String(error) })
    }
    return z.NEVER
  })

const thresholdShape = Object.fromEntries(METRICS.map((metric) => [metric, zThreshold.optional()])) as Record<
  Metric,
  z.ZodOptional<typeof zThreshold>
>
const zThresholds = z.strictObject(thresholdShape)

const zWindow = zDuration.refine(
  (ms) => ms >= 100 && ms <= 60_000,
  'a window lasts from 100ms to 60s; several times the agents’ detect_interval is sensible',
)

const directionShape = { incoming: zThresholds.optional(), outgoing: zThresholds.optional() }

/** By length, `ipv4/24`: all addresses of each prefix of that length together. */
const zCarpet = z.record(z.string(), z.strictObject(directionShape)).superRefine((levels, context) => {
  for (const key of Object.keys(levels)) {
    const [, family, length] = /^ipv([46])\/(\d{1,3})$/.exec(key) ?? []
    if (Number(length) >= (family === '4' ? 8 : 16) && Number(length) < (family === '4' ? 32 : 128)) continue
    context.addIssue({
      code: 'custom',
      path: [key],
      message: "is no length such as 'ipv4/24' (8 to 31) or 'ipv6/48' (16 to 127)",
    })
  }
})

const zFloors = z.strictObject(
  Object.fromEntries(
    METRICS.map((metric) => [metric, zRate.refine((rate) => rate > 0, 'above 0').optional()]),
  ) as Record<Metric, z.ZodOptional<typeof zRate>>,
)

/** Learned thresholds, or `off` to undo inherited ones (null). */
const zBaseline = z.preprocess(
  (input) => (input === 'off' || input === false ? null : input),
  z
    .strictObject({
      factor: z.number().min(1.5, 'at least 1.5: ordinary days differ by more').max(1000).optional(),
      learn: zDuration
        .refine(
          (ms) => ms >= 3_600_000 && ms <= 28 * 86_400_000,
          'from 1h to 28d; 7d knows every hour of the week',
        )
        .optional(),
      direction: z.enum(['incoming', 'outgoing', 'both']).optional(),
      floor: zFloors.optional(),
      ceiling: zFloors.optional(),
    })
    .nullable(),
)

const policyShape = {
  ...directionShape,
  window: zWindow.optional(),
  carpet: zCarpet.optional(),
  total: z.strictObject({ ...directionShape, baseline: zBaseline.optional() }).optional(),
  baseline: zBaseline.optional(),
}

const zName = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'letters, digits, dot, dash and underscore, at most 64')

const zTimes = z.number().min(1, 'below the threshold nothing is noticed: at least 1').max(1000)
const levelShape = {
  at: zTimes,
  action: z.enum(LEVEL_ACTIONS),
  hooks: z.array(z.string()),
  quiet: zDuration.refine((ms) => ms >= 1000, 'at least 1s'),
}
/** A level, or `off` to undo an inherited one (null). A hostgroup may change a part of it; check.ts sees to the rest. */
const zLevel = z
  .union([z.strictObject(levelShape).partial(), z.literal('off'), z.literal(false)])
  .transform((input) => (input === 'off' || input === false ? null : input))
const zLevels = z.record(zName, zLevel)

const zHostgroup = z.strictObject({
  name: zName,
  prefixes: z.array(zPrefix).min(1),
  ban: z.strictObject({ levels: zLevels.default({}) }).optional(),
  ...policyShape,
})

const zTls = z.strictObject({ ca: z.string(), cert: z.string(), key: z.string() })

const zApi = z.strictObject({
  listen: zHostPort.optional(),
  tls: z.strictObject({ cert: z.string(), key: z.string(), ca: z.string().optional() }).optional(),
  tokens: z.string().optional(),
  certificates: z.record(z.string().min(1), z.enum(ROLES)).optional(),
  limits: z
    .strictObject({
      calls: zRate.refine((calls) => calls >= 1, 'at least 1').default(200),
      burst: zRate.refine((calls) => calls >= 1, 'at least 1').default(400),
      open: z.number().int().min(1).default(64),
      message: zSize.refine((bytes) => bytes >= 4096, 'at least 4KiB').default(1 << 20),
    })
    .prefault({}),
  audit: z
    .strictObject({
      max: zSize.refine((bytes) => bytes >= 4096, 'at least 4KiB').default(16 << 20),
      keep: z.number().int().min(0).max(1000).default(8),
    })
    .prefault({}),
})

const zBan = z.strictObject({
  enabled: z.boolean().default(true),
  duration: zDuration.refine((ms) => ms >= 1000, 'a ban lasts at least 1s').default(1_800_000),
  max_duration: zDuration.default(14_400_000),
  max_active: z.number().int().min(0).default(200),
  max_per_minute: z.number().int().min(1).default(60),
  dry_run: z.boolean().default(false),
  hold_off: zDuration.default(300_000),
  carpet: z.enum(['prefix', 'hosts']).default('prefix'),
  carpet_hosts: z.number().int().min(1).max(256).default(16),
  wide: z.array(zPrefix).default([]),
  levels: zLevels.default({}),
})

const zHook = z.strictObject({
  name: zName,
  run: z.array(z.string()).min(1).optional(),
  url: z.url({ protocol: /^https?$/, message: 'an http:// or https:// address' }).optional(),
  headers: z.record(z.string(), z.string()).default({}),
  format: z.enum(['fastnetmon', 'json']).default('json'),
  timeout: zDuration.refine((ms) => ms >= 100, 'at least 100ms').default(30_000),
  retries: z.number().int().min(0).max(100).default(3),
  backoff: zDuration.default(1000),
  retry_every: z.preprocess(
    (input) => (input === 'off' || input === false ? null : input),
    zDuration
      .refine((ms) => ms >= 1000, 'at least 1s')
      .nullable()
      .default(60_000),
  ),
  updates: zDuration.refine((ms) => ms >= 1000, 'at least 1s').optional(),
  env: z.record(z.string(), z.string()).default({}),
})

export const aggregatorSchema = z.strictObject({
  listen: z
    .strictObject({
      grpc: zHostPort.default({ host: '127.0.0.1', port: 50_060 }),
      http: zHostPort.default({ host: '127.0.0.1', port: 8080 }),
    })
    .prefault({}),
  insecure: z.boolean().default(false),
  tls: zTls.optional(),
  api: zApi.prefault({}),
  fastnetmon_api: zHostPort.optional(),
  state: z.string().default('/var/lib/flowdam'),
  networks: z.array(zPrefix).min(1, 'name at least one network: nothing else is counted or banned'),
  exempt: z.array(zPrefix).default([]),
  exempt_remote: z.array(zPrefix).default([]),
  thresholds: z.strictObject(policyShape).prefault({}),
  hostgroups: z.array(zHostgroup).default([]),
  detect: z
    .strictObject({
      max_addresses: zRate.default(1_048_576),
      max_entries: zRate.default(16_777_216),
      max_prefixes: zRate.default(65_536),
      max_baselines: zRate.default(65_536),
    })
    .prefault({}),
  agents: z
    .strictObject({
      detect_interval: zDuration.refine((ms) => ms >= 10 && ms <= 10_000, 'from 10ms to 10s').optional(),
      export_interval: zDuration.refine((ms) => ms >= 100 && ms <= 60_000, 'from 100ms to 60s').optional(),
      export_rate: zRate.refine((rate) => rate >= 100, 'at least 100 records a second').optional(),
    })
    .prefault({}),
  ban: zBan.prefault({}),
  hooks: z.array(zHook).default([]),
  hooks_parallel: z.number().int().min(1).max(1000).default(16),
  store: zStore.prefault(DEFAULT_STORE),
})

export type AggregatorConfig = z.output<typeof aggregatorSchema>
export type BanConfig = AggregatorConfig['ban']
export type HookConfig = AggregatorConfig['hooks'][number]
