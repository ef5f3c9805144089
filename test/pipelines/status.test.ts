import { request } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import type { Encoded } from '../../engine/contract.ts'
import { Health } from '../../pipelines/health.ts'
import type { StatusServer } from '../../pipelines/pages.ts'
import { RecentEvents } from '../../pipelines/recent.ts'
import { serveStatus } from '../../pipelines/status.ts'
import { escapeHtml } from '../../pipelines/status-page.ts'
import { hasCode } from '../../platform/errors.ts'
import type { DatabaseStatus } from '../../platform/geoip/watched.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { eventOf } from '../support/deps.ts'

const revision = '0123456789ab'

const open: StatusServer[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function start(
  events: readonly OcsfEvent[] = [],
  geoip: readonly DatabaseStatus[] = [],
  hosts: readonly string[] = [],
) {
  const health = new Health(0, silentLog)
  const metrics = createMetrics()
  const recent = new RecentEvents()
  const records = events.map((body): Encoded => {
    const event = eventOf('{}')
    event.body = body
    return { event, json: Buffer.alloc(0) }
  })
  await recent.write(records)
  const lag = [{ group: 'waf-lake', topic: 'events.waf', partition: 0, committed: 5n, end: 12n }]
  const server = await serveStatus({
    host: '127.0.0.1',
    revision: () => revision,
    port: 0,
    hosts,
    health,
    metrics,
    recent,
    lag: () => Promise.resolve(lag),
    geoip: () => Promise.resolve(geoip),
    now: () => 120_000,
  })
  open.push(server)
  return { server, health, metrics, recent }
}

/** fetch() refuses to set Host and Origin, so the plain client. */
function get(
  url: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, method }, response => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', text => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

test('ready only when every pipeline runs; what is missing is named', async () => {
  const { server, health } = await start()
  health.register('ingest', 'http', 'topic')
  health.register('waf', 'topic', 'opensearch')
  health.set('ingest', 'running')
  const waiting = await get(`${server.url}/readyz`)
  expect(waiting.status).toBe(503)
  expect(JSON.parse(waiting.body)).toEqual({ ready: false, revision, missing: ['pipeline waf is starting'] })
  health.set('waf', 'running')
  expect((await get(`${server.url}/readyz`)).status).toBe(200)
})

test('not ready, with the reason, while a destination refuses until a person acts; alive all the same', async () => {
  const { server, health } = await start()
  health.register('waf', 'topic', 'opensearch')
  health.register('waf-lake', 'topic', 'lake')
  health.set('waf', 'running')
  health.set('waf-lake', 'running')
  const reason = 'SINK_UNAUTHORISED: opensearch_403: security_exception: no permissions for <role>'
  health.paused('waf', 'opensearch', reason)
  const ready = await get(`${server.url}/readyz`)
  expect(ready.status).toBe(503)
  expect(JSON.parse(ready.body)).toEqual({
    ready: false,
    revision,
    missing: [`pipeline waf is paused: opensearch: ${reason}`],
  })
  expect((await get(`${server.url}/healthz`)).status).toBe(200)
  const { body } = await get(`${server.url}/`)
  expect(body).toContain(`<td class="bad">paused: opensearch: ${escapeHtml(reason)}</td>`)
  expect(body).toContain('<td class="good">running</td>')
  health.paused('waf', 'opensearch', undefined)
  expect((await get(`${server.url}/readyz`)).status).toBe(200)
  expect((await get(`${server.url}/`)).body).toContain('All pipelines run.')
})

test('a pipeline that failed is failed, whatever was paused in it', () => {
  const health = new Health(0, silentLog)
  health.register('waf', 'topic', 'opensearch')
  health.paused('waf', 'opensearch', 'SINK_UNAUTHORISED: opensearch_401')
  health.set('waf', 'failed', 'a fault in the sink')
  expect(health.missing()).toEqual(['pipeline waf is failed: a fault in the sink'])
  expect(health.failed()).toBe(true)
})

test('a pipeline that cannot start until a person acts says so, and lives', async () => {
  const { server, health } = await start()
  health.register('waf', 'topic', 'opensearch')
  health.paused('waf', 'opensearch', 'SINK_UNAUTHORISED: opensearch_401')
  const ready = await get(`${server.url}/readyz`)
  expect(ready.status).toBe(503)
  expect(JSON.parse(ready.body)).toEqual({
    ready: false,
    revision,
    missing: ['pipeline waf is paused: opensearch: SINK_UNAUTHORISED: opensearch_401'],
  })
  expect((await get(`${server.url}/healthz`)).status).toBe(200)
  health.paused('waf', 'opensearch', undefined)
  expect(health.missing()).toEqual(['pipeline waf is starting'])
})

test('alive while it starts, not alive once a pipeline failed for good', async () => {
  const { server, health } = await start()
  health.register('waf', 'topic', 'opensearch')
  expect((await get(`${server.url}/healthz`)).status).toBe(200)
  health.set('waf', 'failed', 'a fault in the sink')
  const answer = await get(`${server.url}/healthz`)
  expect(answer.status).toBe(503)
  expect(answer.body).toContain('a fault in the sink')
})

test('metrics are in the exposition format', async () => {
  const { server, metrics } = await start()
  metrics.counter('haetae_events_read_total', 'Events', ['pipeline']).add({ pipeline: 'waf' }, 3)
  expect((await get(`${server.url}/metrics`)).body).toContain('haetae_events_read_total{pipeline="waf"} 3')
})

test('the page shows who, from where, what was blocked, and what waits', async () => {
  const blocked: OcsfEvent = {
    action_id: 2,
    disposition: 'Blocked',
    src_endpoint: {
      ip: '203.0.113.9',
      location: { country: 'KR', city: 'Seoul' },
      autonomous_system: { number: 4766, name: 'KT' },
    },
    http_request: { http_method: 'GET', url: { hostname: 'shop.example', path: '/.env' } },
    firewall_rule: { uid: 'block-scanners' },
  }
  const { server } = await start([blocked, { disposition: 'Allowed', action_id: 1 }])
  const { body } = await get(`${server.url}/`)
  for (const text of ['203.0.113.9', 'Seoul', 'KT', 'shop.example/.env', 'block-scanners']) expect(body).toContain(text)
  expect(body).toContain('<strong>7</strong><span>waiting in the topics</span>')
})

test('what an attacker wrote is shown, not run', async () => {
  const hostile = '<script>alert(1)</script>"\'&\u202e\u0000'
  const { server } = await start([
    {
      disposition: hostile,
      src_endpoint: { ip: hostile },
      http_request: { url: { path: hostile } },
      firewall_rule: { uid: hostile },
    },
  ])
  const { body } = await get(`${server.url}/`)
  expect(body).not.toContain('<script')
  expect(body).not.toContain('\u202e')
  expect(body).not.toContain('\u0000')
  expect(escapeHtml(hostile)).toBe('&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;\\u202e\\u0000')
})

test('requests of other sites, other hosts, other methods and other paths are refused', async () => {
  const { server } = await start()
  expect((await get(`${server.url}/`, { origin: 'http://evil.example' })).status).toBe(403)
  expect((await get(`${server.url}/`, { host: 'evil.example' })).status).toBe(403)
  expect((await get(`${server.url}/`, { host: 'localhost:7077' })).status).toBe(200)
  expect((await get(`${server.url}/`, {}, 'POST')).status).toBe(405)
  expect((await get(`${server.url}/nothing`)).status).toBe(404)
})

test('a name of ours is taken as Host in any case and with any port, and no other', async () => {
  const { server } = await start([], [], ['haetae.monitoring.svc'])
  for (const host of ['haetae.monitoring.svc', 'Haetae.Monitoring.SVC:7077', '[::1]:7077', '10.0.0.7:80']) {
    expect([host, (await get(`${server.url}/healthz`, { host })).status]).toEqual([host, 200])
  }
  for (const host of ['haetae.monitoring.svc.evil.example', '1.2.3.4.evil.example', 'evil:80:80', '1234567']) {
    const { status, body } = await get(`${server.url}/healthz`, { host })
    expect([host, status]).toEqual([host, 403])
    expect(body).toContain('HAETAE_STATUS_HOSTS')
  }
})

test('a taken port says which one and what to do', async () => {
  const { server, health, metrics, recent } = await start()
  const port = Number(new URL(server.url).port)
  const second = serveStatus({
    host: '127.0.0.1',
    revision: () => revision,
    port,
    hosts: [],
    health,
    metrics,
    recent,
    lag: () => Promise.resolve([]),
    geoip: () => Promise.resolve([]),
    now: () => 0,
  })
  const error: unknown = await second.catch((thrown: unknown) => thrown)
  expect(hasCode(error, 'LISTEN_FAILED')).toBe(true)
  expect(String(error)).toContain('HAETAE_STATUS_PORT')
})

test('what is remembered stays bounded, and the clients with most refusals come first', async () => {
  const recent = new RecentEvents()
  const record = (body: OcsfEvent): Encoded => {
    const event = eventOf('{}')
    event.body = body
    return { event, json: Buffer.alloc(0) }
  }
  for (let at = 0; at < 12_000; at += 500) {
    await recent.write(
      Array.from({ length: 500 }, (_, i) =>
        record({ action_id: 1, disposition: 'Allowed', src_endpoint: { ip: `client-${at + i}` } }),
      ),
    )
  }
  await recent.write([record({ action_id: 2, disposition: 'Blocked', src_endpoint: { ip: 'attacker' } })])
  expect(recent.total).toBe(12_001)
  expect(recent.newest()).toHaveLength(40)
  expect(recent.newest()[0]?.ip).toBe('attacker')
  expect(recent.top(1)[0]).toMatchObject({ ip: 'attacker', blocked: 1 })
  expect(recent.top(20_000)).toHaveLength(10_000)
})

test('an old GeoIP database is said on the page and by readyz, which stays ready', async () => {
  const old: DatabaseStatus = {
    topic: 'city',
    path: '/srv/city.mmdb',
    state: 'old',
    layout: 'nested',
    type: 'GeoLite2-City',
    builtMs: 0,
    ageDays: 90,
    message: 'the database is 90 days old',
  }
  const { server } = await start([], [old])
  expect((await get(`${server.url}/`)).body).toContain('the database is 90 days old')
  const ready = await get(`${server.url}/readyz`)
  expect(ready.status).toBe(200)
  expect(JSON.parse(ready.body)).toEqual({ ready: true, revision, geoip: ['the database is 90 days old'] })
})

test('what a component asks of a person is on the page and in readyz, which stays ready; and is gone once it is decided', async () => {
  const { health, server } = await start()
  health.register('block', 'topic decisions', 'blocks')
  health.set('block', 'running')
  health.asks('block', 'blocks', 'the budget is tripped')
  const ready = await get(`${server.url}/readyz`)
  expect([ready.status, JSON.parse(ready.body)]).toEqual([
    200,
    expect.objectContaining({ ready: true, asks: ['block blocks: the budget is tripped'] }),
  ])
  expect((await get(`${server.url}/`)).body).toContain('the budget is tripped')
  health.asks('block', 'blocks', undefined)
  expect(JSON.parse((await get(`${server.url}/readyz`)).body)).not.toHaveProperty('asks')
})
