// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import {
  AttackServiceService,
  AuditServiceService,
  BanServiceService,
  BaselineServiceService,
  ConfigServiceService,
  FlowServiceService,
  HostServiceService,
  StatusServiceService,
} from '@flowdam/proto'
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { AuditLog } from '../access/audit.js'
import { storedAttacks } from '../attacks/history.js'
import type { AggregatorConfig } from '../config/schema.js'
import type { Baselines } from '../detect/baseline/baselines.js'
import type { LiveFlows } from '../flows/live/live-flows.js'
import { FlowQueries } from '../flows/queries.js'
import { TalkerQueries } from '../flows/talkers.js'
import { Turns } from '../flows/turns.js'
import type { Store } from '../store/store.js'
import { attackService } from './attack-service.js'
import { auditService } from './audit-service.js'
import { banService } from './ban-service.js'
import { baselineService } from './baseline-service.js'
import { type ConfigInForce, configService } from './config-service.js'
import { flowService } from './flow-service.js'
import { hostService } from './host-service.js'
import { statusService } from './status-service.js'

type StatusParts = Parameters<typeof statusService>[0]
type HostParts = Parameters<typeof hostService>

/** What the API reads from, and acts on. */
export interface ApiParts extends StatusParts {
  detector: StatusParts['detector'] & HostParts[0] & Parameters<typeof banService>[1]
  bans: StatusParts['bans'] & HostParts[1] & Parameters<typeof banService>[0]
  attacks: StatusParts['attacks'] & Parameters<typeof attackService>[0]
  baselines: Baselines
  store: Store
  liveFlows: LiveFlows
  audit: AuditLog
  ruleOf: HostParts[3]['ruleOf']
  config: () => AggregatorConfig
  configInForce: () => ConfigInForce
}

export type Offer = readonly [ServiceDefinition, UntypedServiceImplementation]

/** Every service of flowdam.v1's API. */
export function apiServices(parts: ApiParts, part: (component: string) => Logger): Offer[] {
  const { detector, bans, attacks, store, ruleOf } = parts
  const log = part('api')
  const turns = new Turns()
  const queries = {
    flows: new FlowQueries(store, turns),
    talkers: new TalkerQueries(store, turns),
    live: parts.liveFlows,
  }
  return [
    [StatusServiceService, statusService(parts, log)],
    [HostServiceService, hostService(detector, bans, log, { ruleOf, attacks: () => attacks.active() })],
    [
      BaselineServiceService,
      baselineService(parts.baselines, parts.detector, parts.config, part('baselines')),
    ],
    [BanServiceService, banService(bans, detector, log)],
    [AttackServiceService, attackService(attacks, (what) => storedAttacks(store, what), log)],
    [FlowServiceService, flowService(queries, log)],
    [ConfigServiceService, configService(parts.configInForce, log)],
    [AuditServiceService, auditService(parts.audit, log)],
  ]
}
