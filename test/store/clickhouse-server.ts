// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.js'

const PROGRAM = '/usr/sbin/clickhouse-server'

/** Why there can be no server, for a test that skips. */
export const NO_SERVER = existsSync(PROGRAM)
  ? false
  : `${PROGRAM} is not installed (Debian: clickhouse-server)`

/** Debian's ClickHouse server, in a folder of its own, on loopback, with ports that nobody uses. */
export class TestServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'flowdam-clickhouse-'))
  #child: ChildProcess | undefined
  #port = 0
  #tcpPort = 0
  /** Other servers, as shards of the cluster `shards`. */
  cluster: readonly TestServer[] = []

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Of the native protocol; the same at each start. */
  async tcpPort(): Promise<number> {
    this.#tcpPort ||= await freePort()
    return this.#tcpPort
  }

  /** Starts it, again on the same port and data; resolves when it answers. */
  async start(): Promise<void> {
    this.#port ||= await freePort()
    const [tcp, interserver] = [await this.tcpPort(), await freePort()]
    const shards = await Promise.all(this.cluster.map((server) => server.tcpPort()))
    const replicas = shards.map(
      (port) => `<shard><replica><host>127.0.0.1</host><port>${port}</port></replica></shard>`,
    )
    const config = join(this.folder, 'config.xml')
    for (const name of ['data', 'tmp', 'formats', 'files'])
      mkdirSync(join(this.folder, name), { recursive: true })
    writeFileSync(
      config,
      `<yandex>
  <logger><level>warning</level><log>${this.folder}/log</log><errorlog>${this.folder}/errors</errorlog></logger>
  <http_port>${this.#port}</http_port><tcp_port>${tcp}</tcp_port><interserver_http_port>${interserver}</interserver_http_port>
  <listen_host>127.0.0.1</listen_host>
  <path>${this.folder}/data/</path><tmp_path>${this.folder}/tmp/</tmp_path>
  <format_schema_path>${this.folder}/formats/</format_schema_path><user_files_path>${this.folder}/files/</user_files_path>
  <remote_servers><shards>${replicas.join('')}</shards></remote_servers>
  <mark_cache_size>67108864</mark_cache_size>
  <default_profile>default</default_profile><default_database>default</default_database>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users><writer><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></writer>
    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
  <users_config>${config}</users_config>
</yandex>
`,
    )
    const child = spawn(PROGRAM, [`--config-file=${config}`], { cwd: this.folder, stdio: 'ignore' })
    this.#child = child
    while ((await this.#answers()) !== 'Ok.') {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended: ${this.#errors()}`)
      await sleep(50)
    }
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }

  async cleanUp(): Promise<void> {
    await this.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** The answer as text. */
  async query(sql: string): Promise<string> {
    const response = await fetch(`${this.url}/`, { method: 'POST', body: sql })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return text.trim()
  }

  async #answers(): Promise<string> {
    try {
      return (await (await fetch(`${this.url}/ping`)).text()).trim()
    } catch {
      return ''
    }
  }

  #errors(): string {
    const file = join(this.folder, 'errors')
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-2000) : 'it said nothing'
  }
}
