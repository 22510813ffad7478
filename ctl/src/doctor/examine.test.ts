// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FakeMachine, healthyMachine, softnet } from '../testing/fake-machine.js'
import { examine } from './examine.js'
import { type Finding, worstOf } from './finding.js'
import { parseAttached } from './interface.js'
import * as physical from './recorded/physical.js'
import * as veth from './recorded/veth.js'
import * as virtio from './recorded/virtio-net.js'

async function findings(machine: FakeMachine, ...interfaces: string[]): Promise<Finding[]> {
  const sections = await examine(machine, { interfaces, watchMs: 2000 })
  return sections.flatMap((section) => section.findings)
}

/** The findings of one check, `severity: text → remedy`. */
async function found(machine: FakeMachine, id: string, ...interfaces: string[]): Promise<string[]> {
  return (await findings(machine, ...interfaces))
    .filter((finding) => finding.id === id)
    .map(({ severity, text, remedy }) => `${severity}: ${text}${remedy === undefined ? '' : ` → ${remedy}`}`)
}

async function check(
  machine: FakeMachine,
  id: string,
  expected: RegExp,
  ...interfaces: string[]
): Promise<void> {
  const lines = await found(machine, id, ...interfaces)
  assert.ok(
    lines.some((line) => expected.test(line)),
    `${id}: ${JSON.stringify(lines)} should match ${expected}`,
  )
}

describe('doctor', () => {
  it('finds nothing to say against a healthy machine', async () => {
    const all = await findings(healthyMachine())
    assert.deepEqual(
      all.filter(({ severity }) => severity !== 'ok'),
      [],
    )
    assert.ok(all.some(({ id }) => id === 'interface.xdp'))
  })

  it('says what an older kernel lacks', async () => {
    const machine = healthyMachine()
    machine.files.set('/proc/sys/kernel/osrelease', '5.15.0-91-generic\n')
    await check(machine, 'kernel.frags', /^note: no xdp\.frags before 5\.18/)
    await check(machine, 'kernel.tcx', /^note: no TCX before 6\.6/)
    await check(machine, 'kernel.version', /^warning: kernel 5\.15\.0-91-generic: Flowdam was not tried/)
    machine.files.set('/proc/sys/kernel/osrelease', '5.10.0-30-amd64\n')
    await check(machine, 'kernel.version', /^problem: kernel 5\.10\.0-30-amd64 is older than 5\.15/)
  })

  it('finds a kernel built without what we need', async () => {
    const machine = healthyMachine()
    machine.files.set(
      '/proc/config.gz',
      'CONFIG_BPF_SYSCALL=y\nCONFIG_BPF_JIT=y\n# CONFIG_NET_CLS_BPF is not set\n',
    )
    assert.deepEqual((await found(machine, 'kernel.config')).length, 2)
    machine.files.delete('/proc/config.gz')
    await check(machine, 'kernel.config', /^note: .*cannot be read/)
    machine.files.set('/boot/config-6.12.0-1-amd64', '')
    assert.equal((await found(machine, 'kernel.config')).length, 4)
  })

  it('finds the JIT off and statistics on, with the command for each', async () => {
    const machine = healthyMachine()
    machine.files.set('/proc/sys/net/core/bpf_jit_enable', '0\n')
    machine.files.set('/proc/sys/net/core/bpf_jit_harden', '2\n')
    machine.files.set('/proc/sys/kernel/bpf_stats_enabled', '1\n')
    await check(machine, 'kernel.jit', /^problem: .* → sysctl -w net\.core\.bpf_jit_enable=1$/)
    await check(machine, 'kernel.jit_harden', /^note: .* → sysctl -w net\.core\.bpf_jit_harden=1$/)
    await check(machine, 'kernel.bpf_stats', /^warning: /)
  })

  it('names the capabilities that are missing', async () => {
    const machine = healthyMachine()
    machine.files.set('/proc/self/status', 'CapEff:\t0000000000000000\n')
    await check(machine, 'privileges.capabilities', /^warning: .*CAP_BPF.*CAP_NET_ADMIN.*CAP_PERFMON/)
    // CAP_SYS_ADMIN stands in for the two that were split from it, not for CAP_NET_ADMIN.
    machine.files.set('/proc/self/status', 'CapEff:\t0000000000200000\n')
    await check(machine, 'privileges.capabilities', /^warning: this account lacks CAP_NET_ADMIN \(/)
    machine.files.set('/proc/self/status', 'CapEff:\t0000000000201000\n')
    await check(machine, 'privileges.capabilities', /^ok/)
  })

  it('finds bpffs missing', async () => {
    const machine = healthyMachine()
    machine.files.set('/proc/self/mounts', 'proc /proc proc rw 0 0\n')
    await check(machine, 'privileges.bpffs', /^note: .* → mount -t bpf bpf \/sys\/fs\/bpf$/)
  })

  it('finds libbpf by ldconfig or in the usual folders, old or missing', async () => {
    const machine = healthyMachine()
    machine.outputs.set('ldconfig -p', '\tlibbpf.so.1 (libc6,x86-64) => /opt/lib/libbpf.so.1\n')
    machine.links.set('/opt/lib/libbpf.so.1', 'libbpf.so.1.1.2')
    await check(machine, 'libbpf.found', /^ok: libbpf 1\.1 \(\/opt\/lib/)
    await check(machine, 'libbpf.tcx', /^note: libbpf 1\.1 does not know TCX/)
    const bare = healthyMachine()
    bare.files.delete('/usr/lib64/libbpf.so.1')
    bare.links.delete('/usr/lib64/libbpf.so.1')
    await check(bare, 'libbpf.missing', /^problem: .* → apt-get install libbpf1$/)
  })

  it('finds small buffers and little memory', async () => {
    const machine = healthyMachine()
    machine.files.set('/proc/sys/net/ipv4/tcp_rmem', '4096 87380 174760\n')
    machine.files.set('/proc/sys/net/core/rmem_max', '212992\n')
    machine.files.set('/proc/meminfo', 'MemAvailable: 30000 kB\n')
    await check(machine, 'resources.tcp_rmem', /^warning: .*tcp_rmem/)
    await check(machine, 'resources.rmem_max', /^note: .*208 KiB/)
    await check(machine, 'resources.memory', /^warning: 2 CPUs: .* 36\.0 MiB of 29\.3 MiB/)
  })

  it('tells native from generic by driver and kernel', async () => {
    const machine = healthyMachine()
    await check(machine, 'interface.xdp', /^ok: driver ice: native XDP/)
    machine.links.set('/sys/class/net/eth0/device/driver', '../../bus/pci/drivers/e1000e')
    await check(machine, 'interface.xdp', /^warning: no native XDP known for driver e1000e: .* generic/)
    machine.links.set('/sys/class/net/eth0/device/driver', '../../bus/pci/drivers/vmxnet3')
    await check(machine, 'interface.xdp', /^ok: driver vmxnet3/)
    machine.files.set('/proc/sys/kernel/osrelease', '6.1.0-31-amd64\n')
    await check(machine, 'interface.xdp', /^warning: .* → install a kernel of 6\.6 or newer/)
  })

  it('knows that a virtio host may make native XDP impossible, and that GRO matters then', async () => {
    const machine = healthyMachine()
    machine.links.set('/sys/class/net/eth0/device/driver', '../../../../bus/virtio/drivers/virtio_net')
    machine.files.set('/sys/class/net/eth0/device/features', virtio.VIRTIO_FEATURES)
    machine.outputs.set('ethtool -k eth0', virtio.FEATURES)
    await check(
      machine,
      'interface.xdp',
      /^warning: virtio_net: the host joins packets .* → on the host: guest_csum=off/,
    )
    await check(
      machine,
      'interface.gro',
      /^warning: GRO is on under generic XDP.* → ethtool -K eth0 gro off$/,
    )
    // With VIRTIO_NET_F_CTRL_GUEST_OFFLOADS (bit 2) the driver switches them off itself.
    const controllable = `${virtio.VIRTIO_FEATURES.slice(0, 2)}1${virtio.VIRTIO_FEATURES.slice(3)}`
    machine.files.set('/sys/class/net/eth0/device/features', controllable)
    await check(machine, 'interface.xdp', /^ok: driver virtio_net: native XDP/)
  })

  it('sends people from a VLAN interface to the one below', async () => {
    const machine = healthyMachine()
    machine.files.set('/sys/class/net/eth0.5/ifindex', '5\n')
    machine.files.set('/sys/class/net/eth0.5/uevent', 'DEVTYPE=vlan\nINTERFACE=eth0.5\n')
    machine.links.set('/sys/class/net/eth0.5/lower_eth0', '../eth0')
    await check(
      machine,
      'interface.xdp',
      /^warning: 802\.1Q .* → give the agent the interface below: eth0$/,
      'eth0.5',
    )
  })

  it('finds offloads that hide packets or tags', async () => {
    const machine = healthyMachine()
    machine.outputs.set('ethtool -k eth0', physical.FEATURES)
    await check(machine, 'interface.lro', /^warning: lro is on.* → ethtool -K eth0 lro off$/)
    await check(
      machine,
      'interface.rxvlan',
      /^note: .*if the link carries VLANs → ethtool -K eth0 rxvlan off$/,
    )
    machine.links.set('/sys/class/net/eth0/upper_eth0.5', '../eth0.5')
    machine.files.set('/sys/class/net/eth0.5/uevent', 'DEVTYPE=vlan\n')
    await check(machine, 'interface.rxvlan', /^warning: .*eth0 carries eth0\.5 → /)
  })

  it('finds unused queues, a narrow RSS table and a short ring', async () => {
    const machine = healthyMachine()
    machine.files.set('/sys/devices/system/cpu/online', '0-15\n')
    machine.outputs.set('ethtool -l eth0', physical.CHANNELS)
    machine.outputs.set('ethtool -g eth0', physical.RINGS)
    await check(machine, 'interface.queues', /^warning: 8 of 64 .* 16 CPUs.* → ethtool -L eth0 combined 16$/)
    await check(
      machine,
      'interface.ring',
      /^warning: receive ring of 256, could be 4096.* → ethtool -G eth0 rx 4096/,
    )
    machine.files.set('/sys/devices/system/cpu/online', '0-3,4-7\n')
    machine.outputs.set('ethtool -x eth0', physical.INDIRECTION)
    await check(machine, 'interface.rss', /^warning: .* 4 of 8 queues → ethtool -X eth0 equal 8$/)
  })

  it('knows which drivers take jumbo frames', async () => {
    const machine = healthyMachine()
    machine.files.set('/sys/class/net/eth0/mtu', '9000\n')
    await check(machine, 'interface.mtu', /^ok: MTU 9000: jumbo frames go through xdp\.frags/)
    machine.links.set('/sys/class/net/eth0/device/driver', '../../bus/pci/drivers/igb')
    await check(machine, 'interface.mtu', /^warning: MTU 9000: driver igb may refuse/)
  })

  it("finds another owner's XDP program, and knows ours", async () => {
    assert.deepEqual(parseAttached(veth.LINK)?.mode, 'generic')
    for (const json of ['', '[]', '[{}]', 'null', '[{"xdp":{"mode":1}}]', '{']) {
      assert.equal(parseAttached(json), undefined)
    }
    const machine = healthyMachine()
    machine.outputs.set('ip -json -details link show dev eth0', veth.LINK)
    await check(
      machine,
      'interface.attached',
      /^warning: XDP program \d+ \(drop_all\) is attached, generic: .* xdpgeneric off$/,
    )
    const own = veth.LINK.replaceAll('drop_all', 'flowdam_xdp')
    machine.outputs.set('ip -json -details link show dev eth0', own)
    await check(machine, 'interface.attached', /^ok: XDP program \d+ \(flowdam_xdp\) of Flowdam/)
  })

  it('sees counters move while it waits, and tells old drops from new ones', async () => {
    const machine = healthyMachine()
    const path = '/sys/class/net/eth0/statistics/rx_missed_errors'
    machine.files.set(path, '100\n')
    await check(machine, 'interface.drops', /^note: drops in the past, none now: rx_missed_errors 100$/)
    machine.whileAsleep = () => machine.files.set(path, '2100\n')
    await check(
      machine,
      'interface.drops',
      /^problem: rx_missed_errors grows by 1,000\/s: packets are lost before/,
    )
    machine.files.set(path, '100\n')
    assert.equal(worstOf(await findings(machine)), 'problem')
  })

  it("sees the NIC's own counters, without those that are no loss of ours", async () => {
    const machine = healthyMachine()
    machine.outputs.set('ethtool -S eth0', physical.STATISTICS)
    const [line] = await found(machine, 'interface.drops')
    assert.equal(
      line,
      'note: drops in the past, none now: rx_out_of_buffer 17, rx_discards_phy 4, rx_no_buffer_count 5, ' +
        'rx_no_dma_resources 6, rx_total_discard_pkts 2',
    )
    const grown = physical.STATISTICS.replace('rx_out_of_buffer: 17', 'rx_out_of_buffer: 217')
    machine.whileAsleep = () => machine.outputs.set('ethtool -S eth0', grown)
    await check(machine, 'interface.drops', /^problem: rx_out_of_buffer grows by 100\/s/)
  })

  it('sums queues where the driver gives no total', async () => {
    const machine = healthyMachine()
    machine.outputs.set('ethtool -S eth0', '     rx_queue_0_drops: 3\n     rx_queue_1_drops: 4\n')
    await check(machine, 'interface.drops', /rx_queue_N_drops 7$/)
  })

  it('sees CPUs that fall behind', async () => {
    const machine = healthyMachine()
    machine.whileAsleep = () => machine.files.set('/proc/net/softnet_stat', softnet([20, 0], [0, 6]))
    await check(
      machine,
      'receive.backlog',
      /^warning: 10 packets\/s .* → sysctl -w net\.core\.netdev_max_backlog/,
    )
    await check(healthyMachine(), 'receive.backlog', /^ok/)
  })

  it('says which interfaces there are when one is missing', async () => {
    await check(
      healthyMachine(),
      'interface.missing',
      /^problem: there is no interface eth9 → there are: eth0, lo$/,
      'eth9',
    )
  })

  it('works on a machine that tells nothing', async () => {
    const { FakeMachine } = await import('../testing/fake-machine.js')
    assert.equal(worstOf(await findings(new FakeMachine())), 'problem')
  })
})
