// SPDX-License-Identifier: Apache-2.0
import type { QueryParams } from '../engine.js'

/** One chdb session runs one statement at a time; sessions on the same folder run beside each other (measured). */
export type Lane = string

export interface ChildRequest {
  id: number
  lane: Lane
  sql: string
  params?: QueryParams
  /** Rows to insert as JSONEachRow behind `sql`. */
  rows?: string
}

export type ChildResponse =
  | { id: number; text: string }
  | { id: number; error: { message: string; code: number | undefined } }

export interface ChildSettings {
  path: string
  memoryBytes: number
  /** Of the disk, that no insert or merge may count on. */
  keepFreeBytes: number
}
