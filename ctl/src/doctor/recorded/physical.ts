// SPDX-License-Identifier: Apache-2.0

/** Other shapes of the same outputs: older ethtool, large NICs. */

/** ethtool -g of an older ethtool: 0 where a newer one says n/a */
export const RINGS = `Ring parameters for eth0:
Pre-set maximums:
RX:		4096
RX Mini:	0
RX Jumbo:	0
TX:		4096
Current hardware settings:
RX:		256
RX Mini:	0
RX Jumbo:	0
TX:		256

`

/** ethtool -l with 8 of 64 queues in use */
export const CHANNELS = `Channel parameters for eth0:
Pre-set maximums:
RX:		n/a
TX:		n/a
Other:		1
Combined:	64
Current hardware settings:
RX:		n/a
TX:		n/a
Other:		1
Combined:	8
`

/** ethtool -x: eight queues, the table names the first four only */
export const INDIRECTION = `RX flow hash indirection table for eth0 with 8 RX ring(s):
    0:      0     1     2     3     0     1     2     3
    8:      0     1     2     3     0     1     2     3
RSS hash key:
6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa
RSS hash function:
    toeplitz: on
    xor: off
    crc32: off
`

/** ethtool -S, lines of several drivers: mlx5, igb, ixgbe, bnxt (names with a queue before a colon), ena */
export const STATISTICS = `NIC statistics:
     rx_packets: 1234567
     rx_out_of_buffer: 17
     rx_discards_phy: 4
     rx_steer_missed_packets: 99
     rx_no_buffer_count: 5
     rx_no_dma_resources: 6
     rx_xdp_drop: 1000
     tx_queue_dropped: 3
     [0]: rx_discards: 2
     rx_total_discard_pkts: 2
     rx_overruns: 0
     rx0_cache_reuse: 7
`

/** ethtool -k: LRO and VLAN stripping on and changeable */
export const FEATURES = `Features for eth0:
rx-checksumming: on
generic-receive-offload: on
large-receive-offload: on
rx-vlan-offload: on
receive-hashing: on
rx-gro-hw: off [requested on]
`
