// SPDX-License-Identifier: Apache-2.0
import { atLeast, type KernelVersion } from './kernel-version.js'

/**
 * Drivers with native XDP (`git grep -l XDP_SETUP_PROG drivers/` in the kernel), and the kernel from which on; '5.15'
 * stands for "before the oldest we support". The kernel tells exactly (netdev netlink, 6.3), but only to a program that
 * speaks netlink; this table is for advice, and the agent reports the mode that it really got.
 */
const NATIVE_SINCE: ReadonlyMap<string, string> = new Map([
  ['atlantic', '5.19'],
  ['bnxt_en', '5.15'],
  ['bonding', '5.15'],
  ['cpsw', '5.15'],
  ['dpaa2-eth', '5.15'],
  ['ena', '5.15'],
  ['enetc', '5.15'],
  ['fec', '6.2'],
  ['fsl_dpaa2_eth', '5.15'],
  ['gve', '6.4'],
  ['hv_netvsc', '5.15'],
  ['i40e', '5.15'],
  ['ice', '5.15'],
  ['igb', '5.15'],
  ['igc', '5.15'],
  ['ixgbe', '5.15'],
  ['ixgbevf', '5.15'],
  ['lan966x', '6.2'],
  ['mana', '5.17'],
  ['mlx4_en', '5.15'],
  ['mlx4_core', '5.15'],
  ['mlx5_core', '5.15'],
  ['mtk_soc_eth', '6.0'],
  ['mvneta', '5.15'],
  ['mvpp2', '5.15'],
  ['netdevsim', '5.15'],
  ['netsec', '5.15'],
  ['nfp', '5.15'],
  ['nicvf', '5.15'],
  ['octeontx2-nicpf', '5.16'],
  ['rvu_nicpf', '5.16'],
  ['qede', '5.15'],
  ['sfc', '5.15'],
  ['stmmac', '5.15'],
  ['tsnep', '6.3'],
  ['tun', '5.15'],
  ['veth', '5.15'],
  ['virtio_net', '5.15'],
  ['vmxnet3', '6.6'],
  ['vif', '5.15'],
])

/** Drivers that hand frames of several buffers to XDP ("xdp.frags"), and from when on. */
const FRAGS_SINCE: ReadonlyMap<string, string> = new Map([
  ['bnxt_en', '5.19'],
  ['i40e', '6.4'],
  ['ice', '6.3'],
  ['mlx5_core', '5.19'],
  ['mvneta', '5.18'],
  ['veth', '5.18'],
  ['virtio_net', '6.3'],
])

/** Devices that only lead to another one; their traffic is better counted there. */
const STACKED = new Set(['802.1Q VLAN Support', 'bridge', 'macvlan', 'ipvlan', 'team'])

export function nativeSince(driver: string): string | undefined {
  return NATIVE_SINCE.get(driver)
}

export function hasNativeXdp(driver: string, kernel: KernelVersion): boolean {
  const since = NATIVE_SINCE.get(driver)
  return since !== undefined && atLeast(kernel, since)
}

export function takesJumboFrames(driver: string, kernel: KernelVersion): boolean {
  const since = FRAGS_SINCE.get(driver)
  return since !== undefined && atLeast(kernel, since)
}

export function isStacked(driver: string): boolean {
  return STACKED.has(driver)
}
