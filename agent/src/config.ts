// SPDX-License-Identifier: Apache-2.0
//
// agent.yaml. Names, defaults and units must agree with docs/agent-config.md.
import {
  type ConfigFile,
  configText,
  exactDuration,
  isLoopback,
  loadConfigFile,
  parseHostPort,
  parsePrefix,
  zDuration,
  zRate,
  zSize,
} from '@flowdam/common'
import { z } from 'zod'

function checked(parse: (text: string) => unknown) {
  return z.string().superRefine((text, context) => {
    try {
      parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
    }
  })
}

const zHostPort = checked(parseHostPort)
const zPrefix = checked(parsePrefix)
/** IFNAMSIZ is 16 with its zero. */
const zInterfaceName = z.string().regex(/^[^\s/]{1,15}$/, 'an interface name has 1 to 15 characters')
const zInterface = z.union([
  zInterfaceName.transform((name) => ({ name, boundary: 'external' as const })),
  z.strictObject({ name: zInterfaceName, boundary: z.enum(['external', 'internal']).default('external') }),
])

export const agentSchema = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'letters, digits, dot, dash and underscore, at most 64'),
  /** In order of preference. */
  aggregator: z
    .union([
      zHostPort.transform((one) => [one]),
      z.array(zHostPort).min(1, 'name at least one aggregator').max(16, 'at most 16 aggregators'),
    ])
    .prefault('127.0.0.1:50060'),
  interfaces: z
    .array(zInterface)
    .min(1, 'name at least one interface')
    .max(127, 'at most 127 interfaces')
    .refine(
      (list) => new Set(list.map(({ name }) => name)).size === list.length,
      'an interface is named twice',
    ),
  mode: z.enum(['inline', 'tap']).default('inline'),
  attach: z.enum(['auto', 'native', 'generic']).default('auto'),
  direction: z.enum(['both', 'ingress']).default('both'),
  detect_interval: zDuration.refine((ms) => ms >= 10 && ms <= 10_000, 'from 10ms to 10s').default(100),
  export_interval: zDuration.refine((ms) => ms >= 100 && ms <= 60_000, 'from 100ms to 60s').default(5000),
  export_rate: zRate.refine((rate) => rate >= 100, 'at least 100 records a second').default(50_000),
  flow_slots: zRate
    .refine(
      (slots) => slots >= 256 && slots <= 4_194_304 && slots % 256 === 0,
      'a multiple of 256, from 256 to 4194304',
    )
    .default(65_536),
  queue: zSize.refine((bytes) => bytes >= 1 << 20, 'at least 1MiB').default(64 << 20),
  spool: z
    .strictObject({
      path: z.string(),
      max: zSize.refine((bytes) => bytes >= 4 << 20, 'at least 4MiB').default(1e9),
    })
    .optional(),
  keep_attached: z.boolean().default(false),
  pin_path: z.string().startsWith('/', 'an absolute path inside a BPF file system').optional(),
  networks: z.array(zPrefix).default([]),
  drop_rules: z.boolean().default(false),
  inner_key: z.boolean().default(false),
  insecure: z.boolean().default(false),
  tls: z.strictObject({ ca: z.string(), cert: z.string(), key: z.string() }).optional(),
  http: zHostPort.optional(),
  bpf_object: z.string().optional(),
})

export type AgentConfig = z.output<typeof agentSchema>

/** Reads and checks agent.yaml. FD_CONFIG_UNREADABLE, or FD_CONFIG_INVALID with every complaint and its place. */
export function loadAgentConfig(path: string): AgentConfig {
  const file: ConfigFile<AgentConfig> = loadConfigFile(path, agentSchema)
  const issues = plaintextIssues(file.config)
  if (issues.length > 0) throw file.error(issues)
  return file.config
}

/** What a schema cannot say: plaintext leaves this machine only when the operator insists. */
export function plaintextIssues(config: AgentConfig): { path: string[]; message: string }[] {
  if (config.insecure) return []
  const issues = []
  const far = config.tls ? undefined : config.aggregator.find((one) => !isLoopback(parseHostPort(one).host))
  if (far !== undefined) {
    issues.push({
      path: ['aggregator'],
      message: `${far} is another machine and the stream would be plaintext: configure tls, or insist with 'insecure: true'`,
    })
  }
  if (config.http && !isLoopback(parseHostPort(config.http).host)) {
    issues.push({
      path: ['http'],
      message: `${config.http} can be reached from other machines, and metrics are plaintext: listen on 127.0.0.1 or insist with 'insecure: true'`,
    })
  }
  return issues
}

/** As `--check` prints it: a valid file again. */
export function presentAgentConfig(config: AgentConfig): string {
  return configText({
    ...config,
    detect_interval: exactDuration(config.detect_interval),
    export_interval: exactDuration(config.export_interval),
  })
}

/** Settings that take effect on a reload; the others need a restart. */
const RELOADABLE = ['detect_interval', 'export_interval', 'export_rate', 'queue', 'networks'] as const

/** Keys that differ, by what it takes to apply them. */
export function compareConfigs(old: AgentConfig, now: AgentConfig): { applied: string[]; restart: string[] } {
  const keys = Object.keys(agentSchema.shape) as (keyof AgentConfig)[]
  const differ = keys.filter((key) => JSON.stringify(old[key]) !== JSON.stringify(now[key]))
  const reloadable: readonly string[] = RELOADABLE
  return {
    applied: differ.filter((key) => reloadable.includes(key)),
    restart: differ.filter((key) => !reloadable.includes(key)),
  }
}
