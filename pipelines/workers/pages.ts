import { HTML, jsonPage, type Page, type Pages } from '../pages.ts'
import { escapeHtml, STYLE } from '../status-page.ts'
import { sumOf, type WorkerMetrics, withWorkers } from './exposition.ts'

/** A worker as the process that started it knows it. */
export interface WorkerPlace {
  readonly worker: number
  readonly pid: number
  /** Of its status page; undefined until it serves one. */
  readonly url: string | undefined
}

/** A worker that does not answer in this time counts as not ready. */
const ANSWER_MS_MAX = 3_000

interface Standing extends WorkerPlace {
  readonly ready: boolean
  readonly missing: readonly string[]
  readonly revision: string
  readonly metrics: string
}

/** One status port for all workers of a container: ready when all are; metrics are those of each, told apart by `worker`. */
export function workersPages(name: string, workers: () => readonly WorkerPlace[], own: () => Promise<string>): Pages {
  const standings = (): Promise<readonly Standing[]> => Promise.all(workers().map(standingOf))
  return {
    async status(): Promise<Page> {
      return { status: 200, type: HTML, body: render(name, await standings()) }
    },
    // A worker that ends takes the container with it: as long as anybody answers here, they live.
    healthz: () => Promise.resolve(jsonPage(200, { ok: true })),
    async readyz() {
      const all = await standings()
      const missing = missingOf(all)
      // One, unless a reload was refused by some: then a person should see it.
      const revision = [...new Set(all.map(each => each.revision).filter(Boolean))].join(', ')
      return missing.length > 0
        ? jsonPage(503, { ready: false, revision, missing })
        : jsonPage(200, { ready: true, revision })
    },
    async metrics() {
      const texts: WorkerMetrics[] = [{ worker: 0, text: await own() }]
      for (const { worker, metrics } of await standings()) texts.push({ worker, text: metrics })
      return withWorkers(texts)
    },
  }
}

function missingOf(all: readonly Standing[]): string[] {
  return all.flatMap(({ worker, missing }) => missing.map(what => `worker ${worker}: ${what}`))
}

async function standingOf(place: WorkerPlace): Promise<Standing> {
  const unknown = { ...place, ready: false, revision: '', metrics: '' }
  if (place.url === undefined) return { ...unknown, missing: ['it is starting'] }
  try {
    const [readiness, metrics] = await Promise.all([get(`${place.url}/readyz`), get(`${place.url}/metrics`)])
    const { missing = [], revision = '' } = JSON.parse(readiness) as {
      readonly missing?: readonly string[]
      readonly revision?: string
    }
    return { ...place, ready: missing.length === 0, missing, revision, metrics }
  } catch {
    return { ...unknown, missing: ['it does not answer'] }
  }
}

async function get(url: string): Promise<string> {
  return (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })).text()
}

function render(name: string, all: readonly Standing[]): string {
  const missing = missingOf(all)
  const sum = (metric: string): number => all.reduce((total, { metrics }) => total + sumOf(metrics, metric), 0)
  const tiles = [
    ['workers', all.length],
    ['events settled', sum('haetae_events_acked_total')],
    ['to the dead letter', sum('haetae_events_rejected_total')],
    ['waiting in the topics', sum('haetae_topic_lag_records')],
    ['partitions', sum('haetae_kafka_partitions_count')],
  ] as const
  const rows = all.map(({ worker, pid, ready, missing: own, metrics, revision }) => {
    const cells = [
      String(worker),
      String(pid),
      ready ? 'ready' : own.join('; '),
      String(sumOf(metrics, 'haetae_kafka_partitions_count')),
      String(sumOf(metrics, 'haetae_events_acked_total')),
      String(sumOf(metrics, 'haetae_topic_lag_records')),
      revision,
    ]
    return `<tr>${cells.map(cell => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
  })
  const heads = ['worker', 'process', 'state', 'partitions', 'settled', 'waiting', 'revision']
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Haetae</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>${STYLE}</style></head><body>
<header><h1>Haetae <span lang="ko">해태</span></h1>
<p class="${missing.length === 0 ? 'good' : 'bad'}">${missing.length === 0 ? `All workers of ${escapeHtml(name)} run.` : escapeHtml(missing.join(' · '))}</p></header>
<section class="tiles">${tiles.map(([label, value]) => `<div><strong>${value.toLocaleString('en-US')}</strong><span>${label}</span></div>`).join('\n')}</section>
<div class="scroll"><table><thead><tr>${heads.map(head => `<th scope="col">${head}</th>`).join('')}</tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div>
<footer><a href="/metrics">metrics</a> · <a href="/readyz">readyz</a> · <a href="/healthz">healthz</a></footer>
</body></html>
`
}
