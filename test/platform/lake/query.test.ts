import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLakeReader, queryLake } from '../../../platform/lake/query.ts'
import type { LakeFormat } from '../../../platform/lake/render.ts'
import { lake } from '../../../sinks/lake.ts'
import { testDeps } from '../../support/deps.ts'
import { DAY, FakePositions, httpActivity, recordOf } from '../../support/lake-sink.ts'

const never = new AbortController().signal
const root = mkdtempSync(join(tmpdir(), 'haetae-query-test-'))
const folder = join(root, 'lake')

beforeAll(async () => {
  const sink = await lake.open(lake.config.parse({ folder }), testDeps({ positions: new FakePositions() }))
  const blocked = httpActivity('u1', {
    time: DAY + 123,
    action: 'Denied',
    src_endpoint: {
      ip: '203.0.113.7',
      location: { country: 'KR', city: 'Seoul' },
      autonomous_system: { number: 4766 },
    },
    http_request: {
      http_method: 'GET',
      url: { hostname: 'shop.example', path: '/a\u001b[31m,"b"', query_string: 'q=1' },
      user_agent: 'curl\u202e',
    },
    firewall_rule: { uid: 'block-sqli', type: 'REGULAR' },
    ja4_fingerprint_list: [{ type_id: 0, value: 't13d' }],
  })
  for (const batch of [
    [recordOf(0, blocked), recordOf(1, httpActivity('u2', { time: DAY + 2 ** 33 }))],
    // The same events once more, by another road: other positions, another object.
    [
      recordOf(10, blocked),
      recordOf(11, httpActivity('u3', { time: DAY - 5, metadata: { ...meta('u3'), product: falco } })),
    ],
    [recordOf(20, blocked)],
  ]) {
    const { later } = await sink.write(batch, never)
    sink.drain!()
    await later
  }
  await sink.close()
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const falco = { name: 'Falco', vendor_name: 'Sysdig' }
const meta = (uid: string) => ({ version: '1.8.0', uid })

async function ask(sql: string, format: LakeFormat = 'ndjson', at = folder) {
  const notices: string[] = []
  let text = ''
  for await (const piece of queryLake(at, sql, { format, notice: notice => notices.push(notice) })) text += piece
  return { text, notices }
}

async function rows(sql: string): Promise<unknown[]> {
  const { text } = await ask(sql)
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as unknown)
}

describe('the views of the lake', () => {
  it('hold each event once, however often it was received; the raw view holds every row', async () => {
    expect(await rows('SELECT metadata.uid AS uid FROM http_activity ORDER BY 1')).toEqual([
      { uid: 'u1' },
      { uid: 'u2' },
      { uid: 'u3' },
    ])
    expect(await rows('SELECT count(*) AS n FROM http_activity_raw')).toEqual([{ n: 5 }])
  })

  it('read only the days that are asked for', async () => {
    // What the filter leaves is seen in the files that are opened: a broken object of another day does no harm.
    const broken = join(folder, 'class=http_activity/region=ap-northeast-2/account=123456789012/day=2026-12-31')
    mkdirSync(broken)
    writeFileSync(join(broken, 'broken.parquet'), 'not parquet at all')
    const reader = await openLakeReader(folder)
    try {
      const { rows: counted } = await reader.query("SELECT count(*) FROM http_activity WHERE day = '2026-11-23'")
      for await (const chunk of counted) expect(chunk).toEqual([[1n]])
    } finally {
      rmSync(broken, { recursive: true })
      await reader.close()
    }
  })

  it('show WAF requests with flat columns and a time in UTC', async () => {
    const [row] = await rows("SELECT * FROM waf WHERE rule = 'block-sqli'")
    expect(row).toMatchObject({
      time: '2026-11-24 00:00:00.123',
      action: 'Denied',
      client_ip: '203.0.113.7',
      country: 'KR',
      city: 'Seoul',
      asn: 4766,
      method: 'GET',
      host: 'shop.example',
      query: 'q=1',
      rule: 'block-sqli',
      labels: ['a', 'b'],
      ja4: 't13d',
      region: 'ap-northeast-2',
      account: '123456789012',
      day: '2026-11-24',
    })
    expect(await rows('SELECT uid FROM waf ORDER BY uid')).toEqual([{ uid: 'u1' }, { uid: 'u2' }])
  })

  it('answer over a lake without objects, or without a folder, with no rows and a word about why', async () => {
    for (const empty of [join(root, 'empty'), join(root, 'missing')]) {
      if (empty.endsWith('empty')) mkdirSync(empty)
      for (const view of ['waf', 'http_activity', 'http_activity_raw']) {
        const { text, notices } = await ask(`SELECT count(*) AS n, any_value(day) AS day FROM ${view}`, 'ndjson', empty)
        expect(text).toBe('{"n":0,"day":null}\n')
        expect(notices).toEqual([expect.stringContaining('is empty')])
      }
    }
  })
})

describe('a query', () => {
  it.each([
    ['writes a file', `COPY (SELECT 1) TO '${folder}/x.csv'`],
    ['writes a file while explaining', `EXPLAIN ANALYZE COPY (SELECT 1) TO '${folder}/x.csv'`],
    ['makes a table', 'CREATE TABLE t AS SELECT 1'],
    ['opens a database', `ATTACH '${folder}/x.db'`],
    ['changes a setting', "SET memory_limit = '100GB'"],
    ['loads an extension', 'INSTALL httpfs'],
    ['is two', 'SELECT 1; SELECT 2'],
    ['is none', '  '],
    ['reads another file', "SELECT * FROM read_text('/etc/hostname')"],
    ['reads another file by a way round', `SELECT * FROM read_text('${folder}/../../../etc/hostname')`],
    ['lists another folder', "SELECT * FROM glob('/etc/*')"],
    ['asks the network', "SELECT * FROM read_json('http://127.0.0.1:1/x')"],
    ['is not SQL', 'SELEC 1'],
    ['names a column that is not there', 'SELECT nothing FROM waf'],
    ['fails half way', 'SELECT CAST(user_agent AS INTEGER) FROM waf'],
  ])('that %s is refused', async (_what, sql) => {
    await expect(ask(sql)).rejects.toMatchObject({ code: 'LAKE_QUERY' })
    expect(readdirSync(folder).filter(name => name.startsWith('x.'))).toEqual([])
  })

  it('says what was wrong without acting on the terminal', async () => {
    await expect(ask('SELECT "a\u001b[31m" FROM waf')).rejects.toThrow('a\\x1b[31m')
  })

  it('leaves nothing behind', async () => {
    const spills = () =>
      readdirSync(tmpdir()).filter(name => name.startsWith('haetae-query-') && !name.includes('test'))
    const before = spills()
    await ask('SELECT 1')
    await ask('SELEC 1').catch(() => undefined)
    expect(spills().filter(name => !before.includes(name) && existsSync(join(tmpdir(), name, 'x')))).toEqual([])
  })

  it('refuses a folder that DuckDB would take for a pattern', async () => {
    await expect(ask('SELECT 1', 'ndjson', join(root, 'a*'))).rejects.toMatchObject({ code: 'LAKE_QUERY' })
  })
})

describe('the answer', () => {
  const sql = `SELECT 1 AS n, 9007199254740993::BIGINT AS big, sum(2::BIGINT) AS huge, 1.50::DECIMAL(9,2) AS dec, 1/0 AS inf,
    TIMESTAMP '2026-11-24 01:02:03.004' AS at, {'a': [1, NULL], 'b': 'x"y'} AS nested, MAP {'k': 1} AS m, NULL AS nothing, true AS yes`

  it('keeps values right as JSON', async () => {
    const expected = {
      n: 1,
      big: '9007199254740993',
      huge: 2,
      dec: '1.50',
      inf: 'Infinity',
      at: '2026-11-24 01:02:03.004',
      nested: { a: [1, null], b: 'x"y' },
      m: [{ key: 'k', value: 1 }],
      nothing: null,
      yes: true,
    }
    expect(JSON.parse((await ask(sql, 'json')).text)).toEqual([expected])
    expect(JSON.parse((await ask(sql, 'ndjson')).text)).toEqual(expected)
  })

  it('is valid JSON for no row and for many', async () => {
    expect(JSON.parse((await ask('SELECT 1 WHERE false', 'json')).text)).toEqual([])
    const many = JSON.parse((await ask('SELECT range AS n FROM range(5000)', 'json')).text) as { n: number }[]
    expect(many.map(({ n }) => n)).toEqual(Array.from({ length: 5000 }, (_, at) => at))
  })

  it('is RFC 4180 as CSV', async () => {
    const { text } = await ask(
      `SELECT 'a,b' AS "x,y", 'say "hi"' AS q, NULL AS n, [1, 2] AS l, 'two\nlines' AS t`,
      'csv',
    )
    expect(text).toBe('"x,y",q,n,l,t\r\n"a,b","say ""hi""",,"[1,2]","two\nlines"\r\n')
  })

  it('is a table in which what came from outside cannot act on the terminal', async () => {
    const { text, notices } = await ask(
      'SELECT client_ip, path, user_agent, asn FROM waf WHERE rule IS NOT NULL',
      'table',
    )
    expect(text.split('\n')).toEqual([
      'client_ip    path            user_agent  asn',
      '-----------  --------------  ----------  ----',
      '203.0.113.7  /a\\x1b[31m,"b"  curl\\u202e  4766',
      '',
    ])
    expect(notices).toEqual(['1 row'])
  })

  it('is a table of a bounded size', async () => {
    const { text, notices } = await ask("SELECT range AS n, repeat('x', 500) AS long FROM range(100000)", 'table')
    expect(text.split('\n')).toHaveLength(1003)
    expect(Math.max(...text.split('\n').map(line => line.length))).toBeLessThan(100)
    expect(notices[0]).toContain('only the first 1000 rows')
  })

  it('gives two columns of one name two names', async () => {
    expect(await rows('SELECT 1 AS a, 2 AS a')).toEqual([{ a: 1, 'a:1': 2 }])
  })
})
