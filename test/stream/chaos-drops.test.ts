// SPDX-License-Identifier: Apache-2.0
//
// Fewer faults, more traffic, and room for a part of it. FLOWDAM_CHAOS_FAULTS and FLOWDAM_CHAOS_SEED.
import { chaos } from './chaos.js'

chaos({
  faults: Number(process.env['FLOWDAM_CHAOS_FAULTS'] ?? 10),
  cramped: true,
  traffic: { internet: { flows: '6000', rate: '25000' }, customer: { flows: '2000', rate: '8000' } },
})
