import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import { athenaDdl } from '../../platform/lake/athena.ts'
import { queryLake } from '../../platform/lake/query.ts'
import { lakeFormats } from '../../platform/lake/render.ts'
import { lakeTables } from '../../platform/lake/tables.ts'
import type { Command } from '../cli.ts'
import { readSettings } from '../settings.ts'

/** Asks the lake with SQL, or prints how Athena is to read it. */
export const lake: Command = {
  name: 'lake',
  usage: `query 'SQL' [-o ${lakeFormats.join('|')}] | ddl s3://BUCKET/PREFIX [--region R …] [--account A …]`,
  summary: 'query the lake (views waf, http_activity, http_activity_raw), or print its tables for Athena',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o', default: 'table' },
        region: { type: 'string', multiple: true, default: [] },
        account: { type: 'string', multiple: true, default: [] },
      },
    })
    const [action, argument, extra] = positionals
    if (argument === undefined || extra !== undefined) throw new HaetaeError('USAGE', 'one argument, in quotes')
    switch (action ?? '') {
      case 'query':
        return query(argument, values.output)
      case 'ddl':
        return ddl(argument, values.region, values.account)
      default:
        throw new HaetaeError('USAGE', 'the first argument is query or ddl')
    }
  },
}

async function query(sql: string, output: string): Promise<number> {
  const format = lakeFormats.find(each => each === output)
  if (!format) throw new HaetaeError('USAGE', `-o is one of ${lakeFormats.join(', ')}`)
  const notice = (text: string): void => console.error(text)
  for await (const piece of queryLake(readSettings().lake, sql, { format, notice })) {
    if (!process.stdout.write(piece)) await new Promise(resolve => process.stdout.once('drain', resolve))
  }
  return 0
}

function ddl(location: string, regions: readonly string[], accounts: readonly string[]): number {
  for (const table of lakeTables) console.log(athenaDdl({ table, location, regions, accounts }))
  return 0
}
