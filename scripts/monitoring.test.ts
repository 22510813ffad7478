// SPDX-License-Identifier: Apache-2.0
//
// The dashboard and the alerts against what the daemons register and what the documentation says. That Prometheus takes
// and answers them: test/deploy/prometheus.test.ts.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { DROP_REASONS } from '@flowdam/aggregator/internal/drops'
import { ROOT } from './lab/root.js'

interface Target {
  refId: string
  expr: string
  legendFormat?: string
}

interface Panel {
  id: number
  type: string
  title: string
  description?: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: Target[]
  fieldConfig?: { defaults: { unit?: string; noValue?: string } }
}

interface Dashboard {
  uid: string
  panels: Panel[]
  templating: { list: { name: string; query: string | { query: string } }[] }
  annotations: { list: { target: { expr: string } }[] }
}

const text = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8')
const dashboard = JSON.parse(text('deploy', 'grafana', 'flowdam.json')) as Dashboard
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const alerts = text('deploy', 'prometheus', 'alerts.yml')
const troubleshooting = text('docs', 'troubleshooting.md')

/** Name → labels, from the generated list; a name that both daemons have has the labels of both. */
const metrics = new Map<string, Set<string>>()
for (const [, name = '', labels = ''] of text('docs', 'metrics.md').matchAll(
  /^\| `(flowdam_\w+)` \| (?:counter|gauge|histogram) \| ([^|]*) \|/gm,
)) {
  const known = metrics.get(name) ?? new Set()
  for (const [, label = ''] of labels.matchAll(/`(\w+)`/g)) known.add(label)
  metrics.set(name, known)
}

/** What Prometheus adds, and a histogram's buckets. */
const ALWAYS = ['instance', 'job', 'le']

/** By prom-client, of each process; not listed. */
function isOfProcess(name: string): boolean {
  return /^flowdam_(agent_)?(process|nodejs)_/.test(name)
}

/** Complains of names and labels that do not exist. Returns the labels that the expression may have. */
function checkNames(expr: string): Set<string> {
  const found = new Set(ALWAYS)
  for (const [, name = '', , matchers = ''] of expr.matchAll(/\b(flowdam_\w+)(\{([^}]*)\})?/g)) {
    const labels = metrics.get(name.replace(/_bucket$/, ''))
    assert.ok(labels || isOfProcess(name), `${name} is not in docs/metrics.md`)
    for (const label of labels ?? []) found.add(label)
    for (const [, label = '', value = ''] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g)) {
      // {agent=""}: that it has none.
      const real = labels?.has(label) || ALWAYS.includes(label) || value === ''
      assert.ok(real, `${name} has no label ${label}`)
    }
    if (name === 'flowdam_dropped_total') checkDrops(matchers)
  }
  for (const [, list = ''] of expr.matchAll(/\b(?:by|on|group_left) \(([^)]*)\)/g)) {
    for (const label of list.split(', ')) assert.ok(found.has(label), `no metric here has a label ${label}`)
  }
  return found
}

function checkDrops(matchers: string): void {
  const named = (label: string) => matchers.match(new RegExp(`${label}!?=~?"([^"]*)"`))?.[1]?.split('|') ?? []
  const reasons: readonly string[] = Object.values(DROP_REASONS).flat()
  for (const stage of named('stage')) assert.ok(stage in DROP_REASONS, `no stage ${stage}`)
  for (const reason of named('reason')) assert.ok(reasons.includes(reason), `no reason ${reason}`)
}

describe('the dashboard', () => {
  it('asks for metrics and labels that exist', () => {
    for (const { title, targets = [] } of panels) {
      for (const { expr, legendFormat = '' } of targets) {
        const labels = checkNames(expr)
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
          assert.ok(labels.has(label), `${title}: the legend has ${label}`)
        }
      }
    }
    for (const { target } of dashboard.annotations.list) checkNames(target.expr)
  })

  it('uses variables that it has, and each of them', () => {
    const own = new Set(dashboard.templating.list.map(({ name }) => name))
    const used = new Set<string>()
    const json = JSON.stringify([dashboard.panels, dashboard.annotations])
    for (const [, braced, plain] of json.matchAll(/\$(?:\{(\w+)[^}]*\}|(\w+))/g)) {
      const name = braced ?? plain ?? ''
      if (!name.startsWith('__')) used.add(name)
    }
    assert.deepEqual([...used].sort(), [...own].sort())
    for (const { query } of dashboard.templating.list) if (typeof query !== 'string') checkNames(query.query)
  })

  it('says of each panel what it shows, in which unit, and what it means when there is nothing', () => {
    for (const { title, type, description, targets = [], fieldConfig } of panels) {
      assert.ok(description, `${title}: no description`)
      if (type !== 'table') assert.ok(fieldConfig?.defaults.unit, `${title}: no unit`)
      // A comparison leaves nothing when all is well.
      const mayBeEmpty = targets.every(({ expr }) => / >=? 0\)?$/.test(expr))
      if (mayBeEmpty) assert.ok(fieldConfig?.defaults.noValue, `${title}: empty without a word`)
      assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, `${title}: refId`)
    }
  })

  it('has panels with ids of their own, in places of their own', () => {
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
    const taken = new Map<string, string>()
    for (const { title, gridPos } of dashboard.panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, `${title} is too wide`)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.equal(taken.get(`${x} ${y}`), undefined, `${title} covers another`)
          taken.set(`${x} ${y}`, title)
        }
      }
    }
  })
})

describe('the alerts', () => {
  const names = Array.from(alerts.matchAll(/^ {6}- alert: (\w+)$/gm), ([, name = '']) => name)

  it('ask for metrics and labels that exist', () => {
    for (const [, expr = ''] of alerts.matchAll(/^ {8}expr: ((?:.|\n {10})*)/gm)) checkNames(expr)
  })

  it('each have a severity, a test in which they fire, and a chapter on what to do', () => {
    const tests = text('deploy', 'prometheus', 'alerts.test.yml')
    assert.ok(names.length > 20)
    for (const name of names) {
      const rule = alerts.slice(alerts.indexOf(`- alert: ${name}\n`)).split(/\n {6}- alert/, 1)[0] ?? ''
      assert.match(rule, /severity: (page|ticket|info) /, name)
      assert.match(tests, new RegExp(`alertname="${name}"\\}', value: 1`), `${name} fires in no test`)
      assert.ok(rule.includes(`runbook: "docs/troubleshooting.md#${name.toLowerCase()}"`), `${name}: runbook`)
      const severity = rule.match(/severity: (\w+)/)?.[1]
      assert.ok(troubleshooting.includes(`### ${name}\n*${severity}.*`), `${name}: chapter`)
    }
    const chapters = Array.from(troubleshooting.matchAll(/^### (Flowdam\w+)$/gm), ([, name]) => name)
    assert.deepEqual(chapters.sort(), names.sort())
  })
})

it('docs/troubleshooting.md has every reason for which something may be lost', () => {
  const documented = Array.from(
    troubleshooting.matchAll(/^\| (ingest|spool|store|detect|hooks) \| ([a-z_, ]+) \|/gm),
    ([, stage, reasons = '']) => reasons.split(', ').map((reason) => `${stage} ${reason}`),
  ).flat()
  const real = Object.entries(DROP_REASONS).flatMap(([stage, reasons]) =>
    reasons.map((reason) => `${stage} ${reason}`),
  )
  assert.deepEqual(documented.sort(), real.sort())
})
