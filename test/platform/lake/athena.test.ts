import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { athenaDdl } from '../../../platform/lake/athena.ts'
import { athenaType, duckDbType, readJson } from '../../../platform/lake/columns.ts'
import { openDuckDb } from '../../../platform/lake/duckdb.ts'
import { openLakeReader } from '../../../platform/lake/query.ts'
import { lakeTables } from '../../../platform/lake/tables.ts'
import type { Field } from '../../../platform/ocsf/schema.ts'

const [table] = lakeTables
const ddl = (overrides: object = {}) => athenaDdl({ table: table!, location: 's3://lake-bucket/haetae', ...overrides })

/** An Athena type as the DuckDB type that reads and writes the same Parquet. */
function asDuckDb(type: string): string {
  const scalars: Record<string, string> = {
    string: 'VARCHAR',
    int: 'INTEGER',
    bigint: 'BIGINT',
    double: 'DOUBLE',
    boolean: 'BOOLEAN',
  }
  if (type.startsWith('array<')) return `${asDuckDb(type.slice(6, -1))}[]`
  if (!type.startsWith('struct<')) return scalars[type] ?? `no type ${type}`
  const fields: string[] = []
  let depth = 0
  for (const part of type.slice(7, -1).split(/(?<=,)|(?=,)/)) {
    if (part === ',' && depth === 0) continue
    if (depth === 0) fields.push(part.replace(/,$/, ''))
    else fields[fields.length - 1] += part
    depth += part.split('<').length - part.split('>').length
  }
  return `STRUCT(${fields.map(field => `"${field.split(':', 1)[0]}" ${asDuckDb(field.replace(/^\w+:/, '').replace(/,$/, ''))}`).join(', ')})`
}

describe('the two dialects', () => {
  it('give every column the same type', async () => {
    for (const { fields } of lakeTables) {
      for (const [name, field] of Object.entries(fields)) {
        expect(asDuckDb(athenaType(field)), name).toBe(duckDbType(field))
      }
    }
  })

  it('agree with what DuckDB writes into the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'haetae-athena-'))
    const db = await openDuckDb({
      memoryBytesMax: 2 ** 27,
      threads: 1,
      tempFolder: join(folder, 'tmp'),
      tempBytesMax: 1e6,
    })
    try {
      const lines = join(folder, 'rows.ndjson')
      await db.run(
        `COPY (SELECT '{"time":1}' AS line) TO '${lines}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '|', ESCAPE '')`,
      )
      await db.run(`COPY (SELECT * FROM ${readJson(table!.fields, [lines])}) TO '${folder}/x.parquet' (FORMAT parquet)`)
      const reader = await openLakeReader(folder)
      const { rows } = await reader.query(`DESCRIBE SELECT * FROM '${folder}/x.parquet'`)
      const written: Record<string, unknown> = {}
      for await (const chunk of rows) for (const [name, type] of chunk) written[String(name)] = type
      await reader.close()
      const declared = [...ddl().matchAll(/^ {2}`(\w+)` (.+?),?$/gm)].map(([, name, type]) => [name, type!])
      expect(Object.keys(written)).toEqual(declared.map(([name]) => name))
      for (const [name, type] of declared)
        expect(String(written[name!]).replaceAll('"', ''), name).toBe(asDuckDb(type!).replaceAll('"', ''))
    } finally {
      await db.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('refuse a field whose name could be SQL', () => {
    const evil: Field = { object: { 'a" VARCHAR); DROP': 'keyword' } }
    expect(() => duckDbType(evil)).toThrow('cannot be the name of a lake column')
    expect(() => athenaType(evil)).toThrow('cannot be the name of a lake column')
  })
})

/** Reserved in Athena DDL (user guide, "Reserved keywords"); struct fields cannot be quoted there. */
const reserved = new Set(
  `all alter and array as authorization between bigint binary boolean both by case cashe cast char column conf constraint commit
  create cross cube current current_date current_timestamp cursor database date dayofweek decimal delete describe distinct div
  double drop else end exchange exists extended external extract false fetch float floor following for foreign from full function
  grant group grouping having if import in inner insert int integer intersect interval into is join lateral left less like local
  macro map more none not null numeric of on only or order out outer over partialscan partition percent preceding precision
  preserve primary procedure range reads reduce regexp references revoke right rlike rollback rollup row rows select set smallint
  start table tablesample then time timestamp to transform trigger true truncate unbounded union uniquejoin update user using utc_timestamp
  values varchar views when where window with`.split(/\s+/),
)

describe('the DDL for Athena', () => {
  it('has no struct field with a reserved name', () => {
    const fields = [...ddl().matchAll(/[<,](\w+):/g)].map(([, name]) => name!)
    expect(fields.length).toBeGreaterThan(50)
    expect(fields.filter(name => reserved.has(name))).toEqual([])
  })

  it('projects the partitions from the paths', () => {
    const text = ddl({
      database: 'security',
      regions: ['ap-northeast-2', 'us-east-1'],
      accounts: ['123456789012'],
      from: '2026-11-01',
    })
    expect(text).toContain('CREATE EXTERNAL TABLE IF NOT EXISTS `security`.`http_activity_raw` (')
    expect(text).toContain('PARTITIONED BY (`region` string, `account` string, `day` string)')
    expect(text).toContain("LOCATION 's3://lake-bucket/haetae/class=http_activity/'")
    expect(text).toContain(
      "'projection.region.type' = 'enum',\n  'projection.region.values' = 'ap-northeast-2,us-east-1'",
    )
    expect(text).toContain("'projection.day.range' = '2026-11-01,NOW+1DAYS'")
    const path = ['region', 'account', 'day'].map(name => `${name}=\${${name}}`).join('/')
    expect(text).toContain(`'storage.location.template' = 's3://lake-bucket/haetae/class=http_activity/${path}/'`)
  })

  it('gives a view that shows each event once, of the columns of the table, by one look at it', () => {
    const text = ddl({ database: 'security' })
    const view = text.slice(text.indexOf('CREATE OR REPLACE VIEW "security"."http_activity" AS'))
    expect(view.match(/FROM "security"/g)).toHaveLength(1)
    expect(view).toContain('PARTITION BY region, account, day, metadata.uid ORDER BY "$path"')
    const selected = /SELECT (.*)\nFROM/
      .exec(view)![1]!
      .split(', ')
      .map(name => name.replaceAll('"', ''))
    expect(selected).toEqual([...Object.keys(table!.fields), 'region', 'account', 'day'])
  })

  it('lets a query name the partition when the values are not known', () => {
    expect(ddl()).toContain("'projection.region.type' = 'injected'")
    expect(ddl()).toContain("'projection.account.type' = 'injected'")
  })

  it.each([
    { location: "s3://bucket/x'; DROP TABLE y; --" },
    { location: 's3://bucket/../x y' },
    { location: '/var/lake' },
    { database: 'a`b' },
    { regions: ["x','y"] },
    { accounts: ['1,2'] },
    { from: 'yesterday' },
  ])('refuses what could not stand in the statement: %j', overrides => {
    expect(() => ddl(overrides)).toThrow(/expected/)
  })
})
