// SPDX-License-Identifier: Apache-2.0
import type { GetHostResponse, ThresholdState } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { addressArgument } from '../input/values.js'
import { summariseBan } from '../output/ban.js'
import { type Field, renderFields } from '../output/fields.js'
import { directionWord } from '../output/json.js'
import { formatMetric, formatRates } from '../output/units.js'
import { inSession, type Session, type World } from '../session.js'

export function hostCommand(world: World): Command {
  return new Command('host')
    .description('one protected address: its traffic, its ban, its nearest threshold')
    .argument('<address>', 'IPv4 or IPv6 address', addressArgument)
    .addHelpText('after', examples(['flowdam host 203.0.113.5', ''], ['flowdam host 2001:db8::5 --json', '']))
    .action((address: string, _options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const host = await fetchHost(session, address)
        if (session.json) return session.writeJson(host)
        session.write(renderFields(describeHost(address, host, session.now()), session.terminal))
      }),
    )
}

export function fetchHost({ client }: Session, address: string): Promise<GetHostResponse> {
  return client.call(client.hosts.getHost.bind(client.hosts), { address })
}

export function describeHost(
  address: string,
  { rates, thresholds, ban }: GetHostResponse,
  nowMs: number,
): Field[] {
  const [nearest] = thresholds
  return [
    { name: 'Address', value: address },
    { name: 'Hostgroup', value: rates?.hostgroup || 'none' },
    { name: 'Incoming', value: formatRates(rates?.incoming) },
    { name: 'Outgoing', value: formatRates(rates?.outgoing) },
    ban ? { name: 'Banned', value: summariseBan(ban, nowMs), style: 'red' } : { name: 'Banned', value: 'no' },
    { name: 'Nearest', value: nearest ? describeThreshold(nearest) : 'no threshold applies' },
  ]
}

/** `incoming pps, 62 %: 12.3 kpps of 20 kpps`. */
function describeThreshold({ direction, metric, current, threshold, of }: ThresholdState): string {
  const share = Math.round((current / threshold) * 100)
  const rates = `${formatMetric(metric, current)} of ${formatMetric(metric, threshold)}`
  return `${directionWord(direction)} ${metric}${of === '' ? '' : ` of ${of} together`}, ${share} %: ${rates}`
}
