// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { command, commandIn } from '@flowdam/scripts/lab/commands'
import { Lab } from '@flowdam/scripts/lab/lab'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'

const DEPLOY = join(ROOT, 'deploy', 'prometheus')
const PORT = 9090

interface Dashboard {
  panels: { title: string; type: string; targets?: { expr: string }[] }[]
  annotations: { list: { expr: string }[] }
}

const dashboard = JSON.parse(
  readFileSync(join(ROOT, 'deploy', 'grafana', 'flowdam.json'), 'utf8'),
) as Dashboard

/** What has nothing to show in a lab where all is well: no drops, and a namespace has no network card. */
const EMPTY = ['Lost before us', 'Everything lost, by stage and reason']

describe('the alerts', () => {
  it('are valid, come for their reasons, and not without', async () => {
    await command('promtool', ['check', 'rules', join(DEPLOY, 'alerts.yml')])
    await command('promtool', ['check', 'config', join(DEPLOY, 'prometheus.yml')])
    await command('promtool', ['test', 'rules', join(DEPLOY, 'alerts.test.yml')])
  })

  it('and the dashboard use metrics that exist', () => {
    const documented = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8')
    const known = new Set(Array.from(documented.matchAll(/`(flowdam_\w+)`/g), ([, name]) => name))
    for (const text of [
      readFileSync(join(DEPLOY, 'alerts.yml'), 'utf8'),
      ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ]) {
      for (const [name] of text.matchAll(/flowdam_\w+/g)) {
        const base = name.replace(/_bucket$/, '')
        // The process itself: by prom-client, not listed.
        assert.ok(known.has(base) || /_(process|nodejs)_/.test(base), `${name} is not in docs/metrics.md`)
      }
    }
  })
})

describe('a real Prometheus beside both daemons', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-prometheus-'))
  const lab = new Lab({
    thresholdPps: 10_000,
    bgp: false,
    hooks: [{ name: 'page', run: ['/bin/true'], format: 'json', timeout: '5s' }],

    agent: { http: '127.0.0.1:8081', drop_rules: true },
  })
  let prometheus: LabProcess

  before(async () => {
    await lab.start()
    const config = readFileSync(join(DEPLOY, 'prometheus.yml'), 'utf8')
    writeFileSync(join(folder, 'alerts.yml'), readFileSync(join(DEPLOY, 'alerts.yml')))
    // A lab lasts seconds, not hours.
    writeFileSync(
      join(folder, 'prometheus.yml'),
      config.replaceAll('scrape_interval: 15s', 'scrape_interval: 1s'),
    )
    prometheus = new LabProcess({
      name: 'prometheus',
      program: 'prometheus',
      args: [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${PORT}`,
      ],
      namespace: lab.network.namespaces.edge,
      logFile: join(folder, 'prometheus.log'),
    })
    prometheus.start()
  })
  after(async () => {
    await prometheus.stop()
    await lab.stop()
    rmSync(folder, { recursive: true })
  })

  interface Answer {
    status: string
    error?: string
    data: { result: unknown[] }
  }

  async function ask(path: string): Promise<Answer> {
    const url = `http://127.0.0.1:${PORT}/api/v1/${path}`
    return JSON.parse(await commandIn(lab.network.namespaces.edge, 'curl', ['-s', '-S', url])) as Answer
  }

  const query = (expr: string) =>
    ask(`query?query=${encodeURIComponent(expr.replaceAll('$__rate_interval', '10s'))}`)

  it('scrapes both', async () => {
    await waitFor('both targets', async () => {
      const up = await query('count(up{job=~"flowdam-.*"} == 1) == 2').catch(() => undefined)
      return up?.data.result.length === 1
    })
  })

  it('answers each query of the dashboard with data, during an attack', async () => {
    const args = ['--profile', 'udp-flood', '--rate', '20000', '--duration', '600']
    const traffic = lab.send({ from: 'internet', args })
    try {
      for (const { title, targets = [] } of dashboard.panels) {
        for (const { expr } of targets) {
          await waitFor(`'${title}' to have data: ${expr}`, async () => {
            const answer = await query(expr)
            assert.equal(answer.status, 'success', `${title}: ${answer.error}`)
            return EMPTY.includes(title) || answer.data.result.length > 0
          })
        }
      }
      for (const { expr } of dashboard.annotations.list) assert.equal((await query(expr)).status, 'success')
    } finally {
      await traffic.stop()
    }
  })

  it('has loaded every alert, and none that pages is firing', async () => {
    const rules = await ask('rules')
    assert.match(JSON.stringify(rules), /FlowdamDrops/)
    const firing = await query('ALERTS{alertstate="firing", severity="page"}')
    assert.deepEqual(firing.data.result, [])
  })
})
