// SPDX-License-Identifier: Apache-2.0
//
// Who may call what. The one list: a method that is not on it is refused, and a test finds what is missing.
import { FASTNETMON_PACKAGES, fastNetMonService } from '@flowdam/proto'

/** Each may do what those before it may. */
export const ROLES = ['read', 'operate', 'admin'] as const
export type Role = (typeof ROLES)[number]

export interface Access {
  /** `open` asks for nothing; `agent` is for agents' streams, which have certificates of their own. */
  role: Role | 'open' | 'agent'
  /** It changes something: it is in the audit log, whatever became of it. */
  change?: true
}

const READ: Access = { role: 'read' }
const OPERATE: Access = { role: 'operate', change: true }

export const ACCESS: Readonly<Record<string, Access>> = {
  '/flowdam.v1.StatusService/GetStatus': READ,
  '/flowdam.v1.StatusService/ListAgents': READ,
  '/flowdam.v1.HostService/TopHosts': READ,
  '/flowdam.v1.HostService/GetHost': READ,
  '/flowdam.v1.HostService/WatchTopHosts': READ,
  '/flowdam.v1.HostService/WatchHost': READ,
  '/flowdam.v1.BaselineService/ListBaselines': READ,
  '/flowdam.v1.BaselineService/GetBaseline': READ,
  '/flowdam.v1.BaselineService/ExportBaselines': READ,
  '/flowdam.v1.BaselineService/ForgetBaseline': OPERATE,
  '/flowdam.v1.BaselineService/AcceptBaseline': OPERATE,
  '/flowdam.v1.BanService/ListBans': READ,
  '/flowdam.v1.BanService/GetBan': READ,
  '/flowdam.v1.BanService/WatchBans': READ,
  '/flowdam.v1.BanService/AddBan': OPERATE,
  '/flowdam.v1.BanService/RemoveBan': OPERATE,
  '/flowdam.v1.BanService/PauseBans': OPERATE,
  '/flowdam.v1.BanService/ResumeBans': OPERATE,
  '/flowdam.v1.AttackService/ListAttacks': READ,
  '/flowdam.v1.AttackService/GetAttack': READ,
  '/flowdam.v1.AttackService/WatchAttacks': READ,
  '/flowdam.v1.FlowService/QueryFlows': READ,
  '/flowdam.v1.FlowService/StreamFlows': READ,
  '/flowdam.v1.FlowService/TopTalkers': READ,
  '/flowdam.v1.FlowService/WatchFlows': READ,
  // It shows where the hooks and the store are, which a dashboard has no use for.
  '/flowdam.v1.ConfigService/GetConfig': { role: 'operate' },
  // It says whether files exist that its text names.
  '/flowdam.v1.ConfigService/ValidateConfig': { role: 'admin' },
  '/flowdam.v1.AuditService/ListAudit': { role: 'admin' },
  '/flowdam.v1.IngestService/Stream': { role: 'agent' },
  // A load balancer's probe has no token.
  '/grpc.health.v1.Health/Check': { role: 'open' },
  '/grpc.health.v1.Health/List': { role: 'open' },
  '/grpc.health.v1.Health/Watch': { role: 'open' },
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': READ,
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': READ,
  // Only where `fastnetmon_api` listens.
  ...fastNetMonAccess(),
}

function fastNetMonAccess(): Record<string, Access> {
  return Object.fromEntries(
    FASTNETMON_PACKAGES.map(fastNetMonService).flatMap(({ getBanlist, executeBan, executeUnBan }) => [
      [getBanlist.path, READ],
      [executeBan.path, OPERATE],
      [executeUnBan.path, OPERATE],
    ]),
  )
}

/** A method that is not on the list is nobody's. */
export function accessOf(path: string): Access | undefined {
  return Object.hasOwn(ACCESS, path) ? ACCESS[path] : undefined
}

export function mayDo(has: Role, needed: Role): boolean {
  return ROLES.indexOf(has) >= ROLES.indexOf(needed)
}
