import { afterEach, expect, test } from 'vitest'
import { jsonPage, type Pages, type StatusServer, servePages } from '../../../pipelines/pages.ts'
import { type WorkerPlace, workersPages } from '../../../pipelines/workers/pages.ts'

const open: StatusServer[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

/** A worker's own status port. */
async function workerOf(worker: number, missing: readonly string[] = []): Promise<WorkerPlace> {
  const metrics = `# HELP haetae_events_acked_total x\n# TYPE haetae_events_acked_total counter\nhaetae_events_acked_total{pipeline="waf"} ${worker * 10}\n`
  const pages: Pages = {
    status: () => Promise.resolve(jsonPage(200, {})),
    healthz: () => Promise.resolve(jsonPage(200, {})),
    readyz: () => Promise.resolve(jsonPage(missing.length > 0 ? 503 : 200, { missing, revision: 'aaaaaaaaaaaa' })),
    metrics: () => Promise.resolve(metrics),
  }
  const server = await servePages({ host: '127.0.0.1', port: 0, hosts: [] }, pages)
  open.push(server)
  return { worker, pid: 1_000 + worker, url: server.url }
}

async function container(...workers: readonly WorkerPlace[]): Promise<string> {
  const own = '# HELP haetae_workers_count x\n# TYPE haetae_workers_count gauge\nhaetae_workers_count 2\n'
  const pages = workersPages(
    'waf',
    () => workers,
    () => Promise.resolve(own),
  )
  const server = await servePages({ host: '127.0.0.1', port: 0, hosts: [] }, pages)
  open.push(server)
  return server.url
}

async function get(url: string): Promise<{ readonly status: number; readonly body: string }> {
  const answer = await fetch(url)
  return { status: answer.status, body: await answer.text() }
}

test('ready when every worker is, with the revision that runs', async () => {
  const url = await container(await workerOf(1), await workerOf(2))
  const { status, body } = await get(`${url}/readyz`)
  expect([status, JSON.parse(body)]).toEqual([200, { ready: true, revision: 'aaaaaaaaaaaa' }])
})

test('not ready while one worker misses something, starts or does not answer: each is named', async () => {
  const gone = await workerOf(4)
  await open.pop()!.close()
  const url = await container(
    await workerOf(1),
    await workerOf(2, ['pipeline waf is paused: opensearch: 403']),
    { worker: 3, pid: 3, url: undefined },
    gone,
  )
  const { status, body } = await get(`${url}/readyz`)
  expect(status).toBe(503)
  expect(JSON.parse(body)).toEqual({
    ready: false,
    revision: 'aaaaaaaaaaaa',
    missing: [
      'worker 2: pipeline waf is paused: opensearch: 403',
      'worker 3: it is starting',
      'worker 4: it does not answer',
    ],
  })
  expect((await get(`${url}/healthz`)).status).toBe(200)
})

test('metrics are those of every worker and of the process that started them', async () => {
  const url = await container(await workerOf(1), await workerOf(2))
  const { body } = await get(`${url}/metrics`)
  expect(body.split('\n').filter(line => line !== '' && !line.startsWith('#'))).toEqual([
    'haetae_workers_count{worker="0"} 2',
    'haetae_events_acked_total{worker="1",pipeline="waf"} 10',
    'haetae_events_acked_total{worker="2",pipeline="waf"} 20',
  ])
})

test('the page sums, and shows each worker; what a worker says is text there and nothing else', async () => {
  const url = await container(await workerOf(1), await workerOf(2, ['<script>alert(1)</script>']))
  const { body } = await get(url)
  expect(body).toContain('<strong>30</strong><span>events settled</span>')
  expect(body).toContain('<td>1002</td>')
  expect(body).not.toContain('<script>')
})
