// SPDX-License-Identifier: Apache-2.0
import { formatAddress, parseAddress } from '@flowdam/common'

export interface BaselineTarget {
  scope: 'host' | 'hostgroup' | 'total'
  target: string
}

/** `total`, an address, or else a hostgroup's name. */
export function baselineTarget(text: string): BaselineTarget {
  if (text === 'total') return { scope: 'total', target: 'total' }
  try {
    return { scope: 'host', target: formatAddress(parseAddress(text)) }
  } catch {
    return { scope: 'hostgroup', target: text }
  }
}
