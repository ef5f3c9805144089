import type { Deps } from '../../engine/contract.ts'
import type { Counter, Gauge, Metrics } from '../../platform/metrics.ts'

export interface Meters {
  /** Requests by type and what came of them. */
  readonly decisions: Counter
  /** Holds by state. */
  readonly holds: Gauge
  /** From the arrival of the record that completed the evidence to WAF's acknowledgement, milliseconds. */
  readonly latency: ReturnType<Metrics['histogram']>
  /** WAFv2 calls by place and what came of them. */
  readonly writes: Counter
  /** Networks of ours in the IP sets of a place. */
  readonly entries: Gauge
  /** Networks that wait to be written, or for room in an IP set. */
  readonly waiting: Gauge
  readonly tripped: Gauge
  readonly suspended: Counter
}

const LATENCY_MS = [100, 250, 500, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 30_000, 60_000, 300_000]

export function metersOf({ metrics, pipeline }: Pick<Deps, 'metrics' | 'pipeline'>): Meters {
  const ofPipeline = (each: Counter): Counter => ({ add: (labels, by) => each.add({ pipeline, ...labels }, by) })
  const levelOf = (each: Gauge): Gauge => ({ set: (value, labels) => each.set(value, { pipeline, ...labels }) })
  const latency = metrics.histogram(
    'haetae_block_latency_ms',
    'From the arrival of a record to the acknowledged block that it caused',
    LATENCY_MS,
    ['pipeline', 'place'],
  )
  const counter = (name: string, help: string, labels: readonly string[]) =>
    ofPipeline(metrics.counter(name, help, ['pipeline', ...labels]))
  const gauge = (name: string, help: string, labels: readonly string[]) =>
    levelOf(metrics.gauge(name, help, ['pipeline', ...labels]))
  return {
    decisions: counter('haetae_block_decisions_total', 'Requests to block or release, by what came of them', [
      'type',
      'outcome',
    ]),
    holds: gauge('haetae_holds_count', 'Holds in the ledger', ['state']),
    latency: { observe: (value, labels) => latency.observe(value, { pipeline, ...labels }) },
    writes: counter('haetae_waf_writes_total', 'UpdateIPSet calls and passes that failed', ['place', 'outcome']),
    entries: gauge('haetae_ip_set_entries_count', 'Networks of ours in IP sets', ['place']),
    waiting: gauge('haetae_ip_set_waiting_count', 'Networks that wait to be written to IP sets', ['place']),
    tripped: gauge('haetae_block_budget_tripped_count', '1 while detections may not block until a person says so', []),
    suspended: counter('haetae_holds_suspended_total', 'Holds whose network an operator removed from an IP set', []),
  }
}
