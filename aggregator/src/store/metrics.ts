// SPDX-License-Identifier: Apache-2.0
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Spool } from '../spool/spool.js'
import { EmbeddedEngine } from './embedded/engine.js'
import type { Store } from './store.js'

/** Adds what spool and store know of themselves; docs/metrics.md lists it. */
export function addStoreMetrics(registry: Registry, spool: Spool, store: Store): Registry {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `flowdam_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('spool_queued_bytes', 'Records in memory that wait for the disk', () => spool.status().queuedBytes)
  gauge('spool_max_bytes', 'Most bytes of all segments, store.spool.max', () => spool.status().maxBytes)
  gauge('spool_up', '1 while the spool can write; 0 while its disk refuses, or it is full', () =>
    spool.status().lastError === '' ? 1 : 0,
  )
  new Counter({
    name: 'flowdam_spool_failures_total',
    help: 'Writes of the spool that its disk refused, each of which is tried again',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      for (const [reason, count] of Object.entries(spool.status().failures)) this.inc({ reason }, count)
    },
  })
  gauge(
    'spool_dead_letter_bytes',
    'Segments that cannot be loaded, set aside',
    () => spool.status().deadLetterBytes,
  )
  gauge('spool_disk_free_bytes', 'Free on the disk of the spool', () => spool.status().diskFreeBytes)
  gauge(
    'spool_disk_reserve_bytes',
    'With less free the spool takes no more',
    () => spool.status().diskReserveBytes,
  )
  gauge('store_disk_free_bytes', 'Free on the disk of the database', () => store.status().diskFreeBytes)
  gauge('store_disk_reserve_bytes', 'With less free nothing is loaded', () => store.status().diskReserveBytes)
  gauge('store_parts', 'Parts of the table of flows', () => store.status().parts)
  gauge('store_rows_per_second', 'Rows stored, over the last 10 s', () => store.loaderStatus().rowsPerSecond)
  new Counter({
    name: 'flowdam_store_retries_total',
    help: 'Inserts that failed, by what is done about it',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      for (const [reason, count] of Object.entries(store.loaderStatus().retries)) this.inc({ reason }, count)
    },
  })
  new Counter({
    name: 'flowdam_store_database_ends_total',
    help: 'Times that the embedded database’s process ended by itself',
    registers,
    collect() {
      this.reset()
      this.inc(store.engine instanceof EmbeddedEngine ? store.engine.deaths : 0)
    },
  })
  gauge(
    'store_rollup_minutes_waiting',
    'Minutes whose sums do not have all flows yet',
    () => store.rollups?.waitingMinutes ?? 0,
  )
  const commit = new Histogram({
    name: 'flowdam_spool_commit_seconds',
    help: 'Writing and syncing a group of batches, before they are acknowledged',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  })
  spool.onCommit = (_bytes, ms) => commit.observe(ms / 1000)
  const insert = new Histogram({
    name: 'flowdam_store_insert_seconds',
    help: 'From the start of a segment’s insert to its confirmation',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  })
  store.onInsert = (_rows, ms) => insert.observe(ms / 1000)
  return registry
}
