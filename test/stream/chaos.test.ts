// SPDX-License-Identifier: Apache-2.0
//
// FLOWDAM_CHAOS_FAULTS and FLOWDAM_CHAOS_SEED.
import { chaos } from './chaos.js'

chaos({
  faults: Number(process.env['FLOWDAM_CHAOS_FAULTS'] ?? 40),
  cramped: false,
  traffic: { internet: { flows: '2000', rate: '6000' }, customer: { flows: '700', rate: '2000' } },
})
