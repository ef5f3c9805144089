import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import { athenaDdl } from '../../platform/lake/athena.ts'
import { compactionDefaults } from '../../platform/lake/compact.ts'
import { queryLake } from '../../platform/lake/query.ts'
import { lakeFormats } from '../../platform/lake/render.ts'
import { lakeTables } from '../../platform/lake/tables.ts'
import type { Command } from '../command.ts'
import { compactOnce } from '../lake-upkeep.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'

const inMinutes = (ms: number): string => String(ms / 60_000)

/** Asks the lake with SQL, keeps it compact, or prints how Athena is to read it. */
export const lake: Command = {
  name: 'lake',
  usage:
    `query 'SQL' [-o ${lakeFormats.join('|')}] | duplicates [-o …] | ` +
    'compact [--closed-minutes N] [--grace-minutes N] [-o table|json|ndjson] | ' +
    'ddl s3://BUCKET/PREFIX [--region R …] [--account A …]',
  summary:
    'query the lake (views waf, findings, alerts, audit, http_activity, detection_finding, remediation_activity, and the last three with _raw), count ' +
    'its repeats, merge its objects, or print its tables for Athena',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        region: { type: 'string', multiple: true, default: [] },
        account: { type: 'string', multiple: true, default: [] },
        'closed-minutes': { type: 'string', default: inMinutes(compactionDefaults.latenessMs) },
        'grace-minutes': { type: 'string', default: inMinutes(compactionDefaults.graceMs) },
      },
    })
    const [action, argument, extra] = positionals
    const wanted = action === 'query' || action === 'ddl' ? 1 : 0
    if (extra !== undefined || (argument === undefined ? 0 : 1) !== wanted) {
      throw new HaetaeError(
        'USAGE',
        wanted === 1 ? 'one argument, in quotes' : 'one of query, duplicates, compact and ddl',
      )
    }
    switch (action ?? '') {
      case 'query':
        return query(argument!, values.output)
      case 'duplicates':
        return query(
          `${lakeTables.map(({ name }) => DUPLICATES.replaceAll('TABLE', name)).join(' UNION ALL ')} ORDER BY ALL`,
          values.output,
        )
      case 'compact':
        return compact(minutes(values['closed-minutes']), minutes(values['grace-minutes']), values.output)
      case 'ddl':
        return ddl(argument!, values.region, values.account)
      default:
        throw new HaetaeError('USAGE', 'the first argument is query, duplicates, compact or ddl')
    }
  },
}

/** By partition: rows as they were written, and how many of them repeat an event. */
const DUPLICATES = `
  SELECT 'TABLE' AS class, region, account, day, count(*) AS rows, count(metadata.uid) - count(DISTINCT metadata.uid) AS duplicates
  FROM TABLE_raw GROUP BY ALL`

async function query(sql: string, output = 'table'): Promise<number> {
  const format = lakeFormats.find(each => each === output)
  if (!format) throw new HaetaeError('USAGE', `-o is one of ${lakeFormats.join(', ')}`)
  const notice = (text: string): void => console.error(text)
  for await (const piece of queryLake(readSettings().lake, sql, { format, notice })) {
    if (!process.stdout.write(piece)) await new Promise(resolve => process.stdout.once('drain', resolve))
  }
  return 0
}

async function compact(latenessMs: number, graceMs: number, output = 'ndjson'): Promise<number> {
  const format = formatOf(output)
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const limits = { ...compactionDefaults, latenessMs, graceMs }
  const { problems, ...counts } = await compactOnce(readSettings(), limits, Date.now(), stop.signal)
  console.log(render([{ ...counts }], Object.keys(counts), format))
  for (const { message } of problems) console.error(`an hour was left as it is: ${message}`)
  return problems.length > 0 ? 1 : 0
}

function minutes(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text) * 60_000
  throw new HaetaeError('USAGE', `${text}: minutes as a whole number`)
}

function ddl(location: string, regions: readonly string[], accounts: readonly string[]): number {
  for (const table of lakeTables) console.log(athenaDdl({ table, location, regions, accounts }))
  return 0
}
