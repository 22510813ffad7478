// SPDX-License-Identifier: Apache-2.0
import type { Health, HealthState } from '@flowdam/common'
import type { AuditLog } from './access/audit.js'
import type { Bans } from './bans/bans.js'
import type { Journal } from './bans/journal.js'
import type { IngestServer } from './ingest/server.js'
import type { Spool } from './spool/spool.js'
import type { Store } from './store/store.js'

export interface HealthParts {
  store: Pick<Store, 'status'>
  spool: Pick<Spool, 'status'>
  journal: Pick<Journal, 'lastError'>
  audit: Pick<AuditLog, 'lastError'>
  bans: Pick<Bans, 'brake' | 'activeCount'>
  ingest: Pick<IngestServer, 'connected'>
}

/** For /healthz: the whole, and each part for itself. */
export function aggregatorHealth(parts: HealthParts): Health {
  const store = parts.store.status()
  const spool = parts.spool.status()
  const journal = parts.journal.lastError
  const audit = parts.audit.lastError
  const brake = parts.bans.brake
  const states = {
    store: store.state as HealthState,
    spool: spool.state,
    audit: audit === '' ? ('ok' as const) : ('degraded' as const),
    bans: journal === '' && brake.state === 'running' ? ('ok' as const) : ('degraded' as const),
  }
  return {
    // A part may fail and detection goes on: nobody should cut the aggregator off for it.
    state: Object.values(states).every((state) => state === 'ok') ? 'ok' : 'degraded',
    parts: states,
    ...(store.lastError ? { storeError: store.lastError } : {}),
    ...(spool.lastError ? { spoolError: spool.lastError } : {}),
    ...(journal ? { journalError: journal } : {}),
    ...(audit ? { auditError: audit } : {}),
    agents: parts.ingest.connected,
    bans: parts.bans.activeCount,
    ...(brake.state === 'running' ? {} : { bansStopped: `${brake.state} by ${brake.who}: ${brake.reason}` }),
  }
}
