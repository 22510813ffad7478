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
  templating: { list: { name: string; query: string | { query: string }; allValue?: string }[] }
  annotations: { list: { target: { expr: string } }[] }
}

const dashboard = JSON.parse(
  readFileSync(join(ROOT, 'deploy', 'grafana', 'flowdam.json'), 'utf8'),
) as Dashboard

/** Where a comparison leaves something to see in an attack; elsewhere nothing is the good news. */
const IN_AN_ATTACK = ['Threshold to hook', 'Insert', 'Write to the spool']

/** As Grafana puts it in with everything chosen, at the scrape interval of this test. */
function withValues(expr: string): string {
  let text = expr.replaceAll(/\$__(rate_interval|interval|range)/g, '10s')
  for (const { name, allValue = '' } of dashboard.templating.list)
    text = text.replaceAll(`$${name}`, allValue)
  assert.ok(!text.includes('$'), `${expr} needs a variable that is not there`)
  return text
}

describe('the alerts', () => {
  it('are valid, come for their reasons, and not without', async () => {
    await command('promtool', ['check', 'rules', join(DEPLOY, 'alerts.yml')])
    await command('promtool', ['check', 'config', join(DEPLOY, 'prometheus.yml')])
    await command('promtool', ['test', 'rules', join(DEPLOY, 'alerts.test.yml')])
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

  const query = (expr: string) => ask(`query?query=${encodeURIComponent(withValues(expr))}`)

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
          const mayBeEmpty = / >=? 0\)?$/.test(expr) && !IN_AN_ATTACK.includes(title)
          await waitFor(`'${title}' to have data: ${expr}`, async () => {
            const answer = await query(expr)
            assert.equal(answer.status, 'success', `${title}: ${answer.error}`)
            return mayBeEmpty || answer.data.result.length > 0
          })
        }
      }
      for (const { target } of dashboard.annotations.list) {
        assert.equal((await query(target.expr)).status, 'success')
      }
      for (const { name, query: values } of dashboard.templating.list) {
        if (typeof values === 'string') continue
        const [, metric = '', label = ''] = values.query.match(/^label_values\((.+), (\w+)\)$/) ?? []
        const answer = await query(`count by (${label}) (${metric})`)
        assert.ok(answer.data.result.length > 0, `nothing to choose for ${name}`)
      }
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
