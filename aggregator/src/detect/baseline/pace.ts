// SPDX-License-Identifier: Apache-2.0

export const MINUTE_MS = 60_000
/** Every address and every hostgroup is looked at once in this time. */
export const LOOK_MS = 10_000
/** An attack, then so long, teaches nothing. */
export const EXCLUDE_MS = 5 * MINUTE_MS
