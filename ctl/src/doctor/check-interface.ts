// SPDX-License-Identifier: Apache-2.0
import { hasNativeXdp, isStacked, nativeSince, takesJumboFrames } from './drivers.js'
import { type Finding, note, ok, problem, warning } from './finding.js'
import type { Interface } from './interface.js'
import type { KernelVersion } from './kernel-version.js'

/** Flowdam's own programs start with this. */
const OWN_PROGRAMS = /^flowdam_/
/** What fits one page beside XDP's headroom (256 bytes) and the kernel's bookkeeping behind the frame. */
const LARGEST_SINGLE_BUFFER_MTU = 3498
/** A ring of this many frames bridges 1 ms at 1 Mpps. */
const COMFORTABLE_RING = 1024

type Mode = 'native' | 'generic'

/** Everything about one interface that decides what Flowdam sees on it, except its drop counters. */
export function checkInterface(iface: Interface, kernel: KernelVersion | undefined, cpus: number): Finding[] {
  const { mode, findings } = xdpMode(iface, kernel)
  return [
    ...state(iface),
    ...findings,
    ...attached(iface),
    ...receiveOffloads(iface, mode),
    ...vlanTags(iface),
    ...jumboFrames(iface, kernel, mode),
    ...queues(iface, cpus),
    ...rings(iface),
  ]
}

function state({ state, name }: Interface): Finding[] {
  if (state !== 'down') return []
  return [warning('interface.state', `${name} is down`, `ip link set ${name} up`)]
}

function xdpMode(iface: Interface, kernel: KernelVersion | undefined): { mode: Mode; findings: Finding[] } {
  const { driver, name, lower } = iface
  const generic = (finding: Finding) => ({ mode: 'generic' as const, findings: [finding] })
  const cost = 'XDP runs in generic mode: slower, and after GRO has joined packets'
  if (driver === undefined || !kernel) {
    return generic(note('interface.xdp', `the driver of ${name} is unknown: whether it has native XDP too`))
  }
  if (isStacked(driver)) {
    return generic(
      warning(
        'interface.xdp',
        `${driver}: ${cost}`,
        `give the agent the interface below${lower.length > 0 ? `: ${lower.join(', ')}` : ''}`,
      ),
    )
  }
  if (!hasNativeXdp(driver, kernel)) {
    const since = nativeSince(driver)
    const remedy = since === undefined ? undefined : `install a kernel of ${since} or newer`
    return generic(warning('interface.xdp', `no native XDP known for driver ${driver}: ${cost}`, remedy))
  }
  if (driver === 'virtio_net' && hostKeepsOffloads(iface)) {
    return generic(
      warning(
        'interface.xdp',
        `virtio_net: the host joins packets for this guest and cannot be asked to stop: ${cost}`,
        'on the host: guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off (QEMU), or ctrl_guest_offloads=on',
      ),
    )
  }
  return { mode: 'native', findings: [ok('interface.xdp', `driver ${driver}: native XDP`)] }
}

/** Bits of the virtio specification, section 5.1.3. */
const VIRTIO_CTRL_GUEST_OFFLOADS = 2
const VIRTIO_GUEST_OFFLOADS = [1, 7, 8, 9, 10, 54, 55]

/** drivers/net/virtio_net.c, virtnet_xdp_set(): refused with "Can't set XDP while host is implementing GRO_HW/CSUM". */
function hostKeepsOffloads({ virtioFeatures }: Interface): boolean {
  if (virtioFeatures === undefined) return false
  const has = (bit: number) => virtioFeatures[bit] === '1'
  return !has(VIRTIO_CTRL_GUEST_OFFLOADS) && VIRTIO_GUEST_OFFLOADS.some(has)
}

function attached({ xdp, name }: Interface): Finding[] {
  if (!xdp) return []
  const detach = xdp.mode === 'generic' ? 'xdpgeneric' : 'xdpdrv'
  const program = `XDP program ${xdp.id}${xdp.name === '' ? '' : ` (${xdp.name})`}`
  if (OWN_PROGRAMS.test(xdp.name))
    return [ok('interface.attached', `${program} of Flowdam is attached, ${xdp.mode}`)]
  return [
    warning(
      'interface.attached',
      `${program} is attached, ${xdp.mode}: the agent will not take its place`,
      `see whose it is (bpftool prog show id ${xdp.id}), then stop that, or: ip link set dev ${name} ${detach} off`,
    ),
  ]
}

function receiveOffloads({ features, name }: Interface, mode: Mode): Finding[] {
  const lro = features.get('large-receive-offload')
  const hardwareGro = features.get('rx-gro-hw')
  const gro = features.get('generic-receive-offload')
  const findings: Finding[] = []
  for (const [offload, option] of [
    [lro, 'lro'],
    [mode === 'native' ? hardwareGro : undefined, 'rx-gro-hw'],
  ] as const) {
    if (!offload?.on) continue
    const text = `${option} is on: the NIC joins packets before XDP sees them, and many drivers refuse XDP with it`
    const changeable = !offload.fixed
    findings.push(warning('interface.lro', text, changeable ? `ethtool -K ${name} ${option} off` : undefined))
  }
  if (mode === 'generic' && gro?.on) {
    const remedy = gro.fixed ? undefined : `ethtool -K ${name} gro off`
    findings.push(
      warning(
        'interface.gro',
        'GRO is on under generic XDP: bytes are right, packets are counted too few',
        remedy,
      ),
    )
  }
  if (findings.length === 0 && features.size > 0) {
    findings.push(ok('interface.gro', 'no offload joins packets before they are counted'))
  }
  return findings
}

function vlanTags({ features, vlans, name }: Interface): Finding[] {
  const stripped = features.get('rx-vlan-offload')
  if (!stripped?.on) return []
  const remedy = stripped.fixed ? undefined : `ethtool -K ${name} rxvlan off`
  const text = 'the NIC strips VLAN tags before XDP sees them (rxvlan): flows have VLAN id 0'
  if (vlans.length === 0) return [note('interface.rxvlan', `${text}, if the link carries VLANs`, remedy)]
  return [warning('interface.rxvlan', `${text}, and ${name} carries ${vlans.join(', ')}`, remedy)]
}

function jumboFrames(
  { mtu, driver, name }: Interface,
  kernel: KernelVersion | undefined,
  mode: Mode,
): Finding[] {
  if (mtu <= LARGEST_SINGLE_BUFFER_MTU) return [ok('interface.mtu', `MTU ${mtu}`)]
  if (mode === 'generic') return [ok('interface.mtu', `MTU ${mtu}, which generic XDP can take`)]
  if (driver !== undefined && kernel && takesJumboFrames(driver, kernel)) {
    return [ok('interface.mtu', `MTU ${mtu}: jumbo frames go through xdp.frags`)]
  }
  return [
    warning(
      'interface.mtu',
      `MTU ${mtu}: driver ${driver} may refuse native XDP for frames of more than one buffer`,
      `ip link set ${name} mtu ${LARGEST_SINGLE_BUFFER_MTU}, or accept generic mode`,
    ),
  ]
}

function queues({ channels, rxQueues, indirection, name }: Interface, cpus: number): Finding[] {
  const kind = channels.current.has('combined') ? 'combined' : 'rx'
  const current = channels.current.get(kind) ?? rxQueues
  const most = channels.maximum.get(kind) ?? current
  const wanted = Math.min(most, cpus)
  if (current === 0) return []
  if (current < wanted) {
    return [
      warning(
        'interface.queues',
        `${current} of ${most} receive queues in use with ${cpus} CPUs: a flood meets few of them`,
        `ethtool -L ${name} ${kind} ${wanted}`,
      ),
    ]
  }
  if (indirection.size > 0 && indirection.size < current) {
    return [
      warning(
        'interface.rss',
        `received packets are spread over ${indirection.size} of ${current} queues`,
        `ethtool -X ${name} equal ${current}`,
      ),
    ]
  }
  if (current === 1 && cpus > 1) {
    return [note('interface.queues', `one receive queue: one of ${cpus} CPUs counts everything that arrives`)]
  }
  return [ok('interface.queues', `${current} receive ${current === 1 ? 'queue' : 'queues'} for ${cpus} CPUs`)]
}

function rings({ rings, name }: Interface): Finding[] {
  const current = rings.current.get('rx')
  const most = rings.maximum.get('rx')
  if (current === undefined || most === undefined) return []
  if (current >= most) return [ok('interface.ring', `receive ring of ${current}, its greatest size`)]
  const text = `receive ring of ${current}, could be ${most}: it fills while the CPU is busy elsewhere`
  const remedy = `ethtool -G ${name} rx ${most}   (many NICs lose the link for a moment)`
  return [
    current < COMFORTABLE_RING
      ? warning('interface.ring', text, remedy)
      : note('interface.ring', text, remedy),
  ]
}

/** An interface that was asked for and is not there. */
export function missingInterface(name: string, known: readonly string[]): Finding {
  return problem('interface.missing', `there is no interface ${name}`, `there are: ${known.join(', ')}`)
}
