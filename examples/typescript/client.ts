// SPDX-License-Identifier: Apache-2.0

/** Bans an address for a minute and takes the ban back. README.md says how to run it. */
import { readFileSync } from 'node:fs'
import { BanServiceClient, Direction, StatusServiceClient } from '@flowdam/proto'
import { type CallOptions, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'

const TIMEOUT_MS = 5_000

const { FLOWDAM_TOKEN: token, FLOWDAM_CA: authority } = process.env

/** TLS where FLOWDAM_CA names the authority of the aggregator's certificate. */
const channel = authority ? credentials.createSsl(readFileSync(authority)) : credentials.createInsecure()

/** Goes with every call. */
const metadata = new Metadata()
if (token) metadata.set('authorization', `Bearer ${token}`)

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown

/** One call with a deadline, as a promise. */
function call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    method(request, metadata, { deadline: Date.now() + TIMEOUT_MS }, (error, response) =>
      error ? reject(error) : resolve(response),
    )
  })
}

async function main(server: string, address: string): Promise<void> {
  const status = new StatusServiceClient(server, channel)
  const bans = new BanServiceClient(server, channel)
  try {
    const now = await call(status.getStatus.bind(status), {})
    console.log(
      `aggregator ${now.version}: ${now.incoming?.pps.toFixed()} pps in, ${now.bansActive} bans active`,
    )

    // The stream has no deadline; it begins with the bans in force.
    const watch = bans.watchBans({}, metadata)
    // Without this, leaving early (the ban is refused) would end in an unhandled error of the stream.
    watch.on('error', () => watch.destroy())
    const { ban: added } = await call(bans.addBan.bind(bans), {
      prefix: address,
      direction: Direction.DIRECTION_INCOMING,
      durationS: 60,
      reason: 'example',
      who: 'client.ts',
      level: '',
    })
    for await (const { event, ban } of watch) {
      console.log(`${event}: ${ban?.prefix} because of ${ban?.metric}, by ${ban?.who}`)
      if (ban?.id === added?.id) break
    }

    await call(bans.removeBan.bind(bans), { target: added?.id ?? '', who: 'client.ts', reason: '' })
    console.log(`unbanned ${added?.prefix}`)
  } finally {
    status.close()
    bans.close()
  }
}

const [server, address] = process.argv.slice(2)
if (!server || !address) {
  console.error('usage: client.js HOST:PORT ADDRESS')
  process.exit(2)
}
await main(server, address).catch((error: ServiceError) => {
  // "FD_BAN_EXEMPT: …": the code is stable, the sentence is for people.
  console.error(error.details ?? error.message)
  process.exitCode = 1
})
