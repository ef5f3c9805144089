import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Sink } from '../../engine/contract.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { lake } from '../../sinks/lake.ts'
import { testDeps } from './deps.ts'
import { objectsIn, rowsOf } from './lake.ts'
import { DAY, FakePositions, httpActivity, recordOf, records } from './lake-sink.ts'

/** A lake of one test. */
export interface LakePlace {
  /** As the sink is configured. */
  readonly location: string
  /** Where its objects can be looked at as files. */
  readonly folder: string
}

const never = new AbortController().signal

type Start = ReturnType<typeof harness>

/** What the lake sink promises, wherever the objects are. */
export function lakeSinkSuite(where: string, newPlace: () => LakePlace): void {
  const start = harness(newPlace)
  describe(`the lake sink over ${where}`, () => {
    places(start)
    content(start)
    promises(start)
    refusals(start)
  })
}

/** Opens sinks, and closes them after each test. */
function harness(newPlace: () => LakePlace) {
  const made: string[] = []
  const open: Sink[] = []
  afterEach(async () => {
    for (const sink of open.splice(0)) await sink.close()
    for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true })
  })
  return async () => {
    const stateFolder = mkdtempSync(join(tmpdir(), 'haetae-state-'))
    made.push(stateFolder)
    const { location, folder } = newPlace()
    const deps = testDeps({ positions: new FakePositions(), stateFolder })
    const sink = await lake.open(lake.config.parse({ folder: location, flushMs: 3_600_000 }), deps)
    open.push(sink)
    return { sink, folder, deps, location, open }
  }
}

function places(start: Start): void {
  it('writes one object for each class, region, account and day, named after stream, lineage and first position', async () => {
    const { sink, folder, deps } = await start()
    const tokyo: OcsfEvent = { cloud: { provider: 'AWS', region: 'ap-northeast-1', account: { uid: '42' } } }
    await store(sink, [
      recordOf(7),
      recordOf(8, httpActivity('u8', tokyo)),
      recordOf(9, httpActivity('u9', { time: DAY - 1 })),
      recordOf(12),
    ])
    const { lineage } = JSON.parse(deps.positions.note('events.waf/0')!) as { lineage: string }
    const name = `events.waf-0-${lineage}-00000000000000000007.parquet`
    expect(objectsIn(folder)).toEqual([
      `class=http_activity/region=ap-northeast-1/account=42/day=2026-11-24/${name}`,
      `class=http_activity/region=ap-northeast-2/account=123456789012/day=2026-11-23/${name}`,
      `class=http_activity/region=ap-northeast-2/account=123456789012/day=2026-11-24/${name}`,
    ])
    expect(await rowsOf(folder, 'SELECT metadata.uid FROM http_activity ORDER BY 1')).toEqual([
      ['u12'],
      ['u7'],
      ['u8'],
      ['u9'],
    ])
  })

  it('keeps a hostile region or account out of the path', async () => {
    const { sink, folder } = await start()
    const hostile: OcsfEvent = { cloud: { provider: 'AWS', region: '../../etc', account: { uid: "a'b/c" } } }
    await store(sink, [recordOf(1, httpActivity('u1', hostile))])
    expect(objectsIn(folder)[0]).toContain('region=unknown/account=unknown/')
    expect(await rowsOf(folder, 'SELECT cloud.region FROM http_activity')).toEqual([['../../etc']])
  })

  it('writes the rows of an object in time order', async () => {
    const { sink, folder } = await start()
    const times = Array.from({ length: 3000 }, (_, at) => DAY + ((at * 7919) % 3000))
    const first = times.slice(0, 1000).map((time, at) => recordOf(at, httpActivity(`u${at}`, { time })))
    const rest = times.slice(1000).map((time, at) => recordOf(1000 + at, httpActivity(`u${1000 + at}`, { time })))
    await sink.write(first, never)
    await store(sink, rest)
    const [path] = objectsIn(folder)
    const rows = await rowsOf(folder, `SELECT time FROM '${join(folder, path!)}'`)
    expect(rows.map(([time]) => Number(time))).toEqual(times.toSorted((a, b) => a - b))
  })
}

function content(start: Start): void {
  it('keeps every value as it was, with the types of the schema', async () => {
    const { sink, folder } = await start()
    const body = httpActivity('u1', {
      src_endpoint: { ip: '2001:db8::1', location: { country: 'KR', geo: { lat: 37.5, lon: 127 }, lat: 37.5 } },
      http_request: {
        args: 'a=1&b=\u0000\u001b"\\\n해태\u2028',
        x_forwarded_for: ['203.0.113.9', ''],
        http_headers: [{ name: 'Host', value: "shop's" }],
        body_length: 8_589_934_592,
      },
      unmapped: { formatVersion: 1, nested: [{ a: null }] },
    })
    await store(sink, [recordOf(1, body)])
    const [row] = await rowsOf(
      folder,
      `SELECT src_endpoint.ip, src_endpoint.location.geo.lon, http_request.args, http_request.x_forwarded_for[1],
        http_request.http_headers[1].value, http_request.body_length, unmapped, firewall_rule IS NULL, typeof(time), typeof(severity_id)
       FROM http_activity`,
    )
    expect(row).toEqual([
      '2001:db8::1',
      127,
      'a=1&b=\u0000\u001b"\\\n해태\u2028',
      '203.0.113.9',
      "shop's",
      8_589_934_592n,
      '{"formatVersion":1,"nested":[{"a":null}]}',
      true,
      'BIGINT',
      'INTEGER',
    ])
  })

  it('stores a text with half a surrogate pair, which UTF-8 cannot hold, with U+FFFD in its place', async () => {
    const { sink, folder } = await start()
    const args = 'a\ud800b\\ud800 \ud83e\udd81 \udfff'
    await store(sink, [recordOf(1, httpActivity('u1', { http_request: { args } })), recordOf(2)])
    expect(await rowsOf(folder, "SELECT http_request.args FROM http_activity WHERE metadata.uid = 'u1'")).toEqual([
      ['a\ufffdb\\ud800 🦁 \ufffd'],
    ])
    expect(await rowsOf(folder, 'SELECT count(*) FROM http_activity')).toEqual([[2n]])
  })
}

function promises(start: Start): void {
  it('acknowledges nothing before the objects are there, and everything after', async () => {
    const { sink, folder } = await start()
    let durable = false
    const { later, retry, reject } = await sink.write(records(0, 10), never)
    void later!.then(() => {
      durable = true
    })
    expect({ retry, reject }).toEqual({ retry: [], reject: [] })
    await new Promise(resolve => setTimeout(resolve, 20))
    expect({ durable, objects: objectsIn(folder) }).toEqual({ durable: false, objects: [] })
    sink.drain!()
    await later
    expect(objectsIn(folder)).toHaveLength(1)
  })

  it('keeps spooled records from other users, and the bytes as received unreadable', async () => {
    const { sink, deps } = await start()
    await sink.write([recordOf(1)], never)
    const files = spoolFiles(deps.stateFolder)
    expect(files.map(name => String(name.split('.').at(-1))).sort()).toEqual(['evidence', 'ndjson'])
    for (const name of files) {
      const path = join(deps.stateFolder, name)
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(readFileSync(path, 'latin1')).not.toContain('events.waf/0 1')
    }
  })

  it('starts with an empty spool, whatever an earlier process left', async () => {
    const { sink, location, deps, open } = await start()
    await sink.write(records(0, 5), never)
    expect(spoolFiles(deps.stateFolder)).not.toEqual([])
    const next = await lake.open(lake.config.parse({ folder: location }), { ...deps, positions: new FakePositions() })
    open.push(next)
    expect(spoolFiles(deps.stateFolder)).toEqual([])
  })

  it('leaves nothing in the spool or half written in the lake once everything is durable', async () => {
    const { sink, folder, deps } = await start()
    await store(sink, records(0, 100))
    await vi.waitFor(() => expect(spoolFiles(deps.stateFolder)).toEqual([]))
    const inLake = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    expect(inLake.filter(name => /\.part$|probe/.test(name))).toEqual([])
  })
}

function refusals(start: Start): void {
  it('refuses at once what has no table, no time or no shape, and takes its neighbours', async () => {
    const { sink, folder } = await start()
    const lineFeed = { ...recordOf(4), json: Buffer.from('{"time":1,\n"class_uid":4002}') }
    const { reject } = await store(sink, [
      recordOf(1, httpActivity('u1', { class_uid: 2005 })),
      recordOf(2, httpActivity('u2', { time: Number.NaN })),
      recordOf(3),
      lineFeed,
    ])
    expect(reject).toEqual([
      { index: 0, reason: 'lake_class: the lake has no table for class_uid 2005' },
      { index: 1, reason: 'time_out_of_range' },
      { index: 3, reason: 'lake_row: a line feed in the JSON' },
    ])
    expect(await rowsOf(folder, 'SELECT metadata.uid FROM http_activity')).toEqual([['u3']])
  })

  it('dead-letters the rows that DuckDB refuses, with their original bytes, and stores the others', async () => {
    const { sink, folder, deps } = await start()
    const bad = new Set([3, 700, 701, 1499])
    const batch = Array.from({ length: 1500 }, (_, at) => {
      const record = recordOf(at, httpActivity(`u${at}`, { time: DAY + ((at * 37) % 1500) }))
      if (!bad.has(at)) return record
      return {
        ...record,
        json: Buffer.from(record.json.toString().replace('"severity_id":1', '"severity_id":"high"')),
      }
    })
    await store(sink, batch)
    expect(await rowsOf(folder, 'SELECT count(*) FROM http_activity')).toEqual([[1496n]])
    expect(deps.dead.map(({ raw }) => raw.toString()).sort()).toEqual(
      [...bad].map(at => `{"raw":"events.waf/0 ${at}"}`).sort(),
    )
    expect(deps.dead[0]).toMatchObject({
      pipeline: 'test',
      stage: 'lake',
      kind: 'waf',
      origin: { stream: 'events.waf/0' },
    })
    expect(deps.dead[0]!.reason).toBe('lake_row: Failed to cast value to numerical: "high"')
    expect(await deps.metrics.expose()).toContain('haetae_lake_rows_refused_total{pipeline="test"} 4')
  })

  it('leaves no object behind when every row is refused', async () => {
    const { sink, folder, deps } = await start()
    await store(sink, [{ ...recordOf(1), json: Buffer.from('{"broken') }])
    expect(objectsIn(folder)).toEqual([])
    expect(deps.dead.map(({ reason }) => reason)).toEqual(['lake_row: unexpected control character in string.'])
  })
}

/** Writes and drains: what a pipeline does at the end of its input. */
async function store(sink: Sink, batch: Parameters<Sink['write']>[0]) {
  const verdict = await sink.write(batch, never)
  sink.drain?.()
  await verdict.later
  return verdict
}

function spoolFiles(stateFolder: string): string[] {
  return readdirSync(stateFolder, { recursive: true, encoding: 'utf8' }).filter(name => /\.\w+$/.test(name))
}
