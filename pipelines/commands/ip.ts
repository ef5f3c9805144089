import { parseArgs } from 'node:util'
import {
  type Address,
  cidrContains,
  clientPrefix,
  formatAddress,
  parseAddress,
  parseCidr,
} from '../../platform/address.ts'
import { systemClock } from '../../platform/clock.ts'
import { asError, HaetaeError } from '../../platform/errors.ts'
import { embeddedDatabases, shareGeoIp } from '../../platform/geoip/shared.ts'
import { literal } from '../../platform/lake/duckdb.ts'
import { queryLake } from '../../platform/lake/query.ts'
import { createLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { Hold } from '../../platform/response/hold.ts'
import { untrusted } from '../../platform/untrusted.ts'
import { NeverBlock, shippedNeverBlock } from '../../response/holds/never-block.ts'
import type { Command } from '../command.ts'
import { type Holdings, readHoldings } from '../holds.ts'
import { readSettings, type Settings } from '../settings.ts'
import { render } from '../terminal.ts'
import { HOLD_COLUMNS, historyOf, rowOf } from './decisions.ts'

/** Latest requests that are shown. */
const REQUESTS_MAX = 20
const DAYS_MAX = 7

/** Everything that is known about one address, for whoever asks "why am I blocked". */
export const ip: Command = {
  name: 'ip',
  usage: 'ADDRESS [-o text|json]',
  summary: 'the story of one address on a page: where it is, what holds it, what was done about it, what it asked for',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o', default: 'text' } },
    })
    const [text, extra] = positionals
    const address = text === undefined ? undefined : parseAddress(text)
    if (!address || extra !== undefined) throw new HaetaeError('USAGE', `${text ?? 'nothing'} is no address`)
    if (values.output !== 'text' && values.output !== 'json') throw new HaetaeError('USAGE', '-o is text or json')
    const settings = readSettings()
    const story = await storyOf(settings, address)
    console.log(values.output === 'json' ? JSON.stringify(story, null, 2) : page(story))
    return 0
  },
}

interface Story {
  readonly address: string
  readonly place: string
  readonly neverBlock: string | undefined
  readonly allowed: readonly {
    readonly cidr: string
    readonly who: string
    readonly reason: string
    readonly untilMs: number
  }[]
  readonly holds: readonly Hold[]
  readonly ipSets: readonly {
    readonly place: string
    readonly ipSet: string
    readonly cidr: string
    readonly state: string
  }[]
  /** As the lake gives them: rows of JSON, or why there are none. */
  readonly byAction: readonly Row[] | string
  readonly requests: readonly Row[] | string
  /** What was refused about it: a hold that never was leaves no other trace. */
  readonly refused: readonly Row[] | string
}
type Row = Readonly<Record<string, string | number | boolean>>

async function storyOf(settings: Settings, address: Address): Promise<Story> {
  const text = formatAddress(address)
  const covers = (cidr: string): boolean => cidrContains(parseCidr(cidr)!, address)
  const { holds, states }: Holdings = await readHoldings(settings)
  const list = new NeverBlock(process.env['HAETAE_NEVER_BLOCK'] || shippedNeverBlock)
  await list.load()
  const single = parseCidr(address.family === 4 ? text : clientPrefix(address))!
  const objection = list.guard.objection(single)
  return {
    address: text,
    place: await placeOf(text),
    neverBlock: objection && `${objection.reason}: ${objection.detail}`,
    allowed: states
      .filter(state => state.type === 'allow')
      .filter(({ cidr, untilMs }) => covers(cidr) && untilMs > systemClock.now()),
    holds: holds.filter(({ cidr }) => covers(cidr)).sort((left, right) => right.createdMs - left.createdMs),
    ipSets: states.filter(state => state.type === 'entry').filter(({ cidr }) => covers(cidr)),
    byAction: await rowsOf(
      settings,
      `SELECT action, coalesce(rule, '') AS rule, count(*) AS requests, min(time) AS first, max(time) AS last
       FROM waf WHERE client_ip = ${literal(text)} AND day >= ${literal(dayAgo(DAYS_MAX))} GROUP BY ALL ORDER BY requests DESC LIMIT 20`,
    ),
    requests: await rowsOf(
      settings,
      `SELECT time, action, coalesce(rule, '') AS rule, host, method, path
       FROM waf WHERE client_ip = ${literal(text)} AND day >= ${literal(dayAgo(DAYS_MAX))} ORDER BY time DESC LIMIT ${REQUESTS_MAX}`,
    ),
    refused: await rowsOf(
      settings,
      `SELECT time, what, coalesce(skip_reason, '') AS skip_reason, coalesce(reason, '') AS reason, coalesce(rule, '') AS rule, who
       FROM audit WHERE what = 'hold_refused' AND target = ${literal(text)} AND day >= ${literal(dayAgo(DAYS_MAX))} ORDER BY time DESC LIMIT ${REQUESTS_MAX}`,
    ),
  }
}

function dayAgo(days: number): string {
  return new Date(systemClock.now() - days * 86_400_000).toISOString().slice(0, 10)
}

/** A lake that cannot be asked is no reason to say nothing else. */
async function rowsOf(settings: Settings, sql: string): Promise<readonly Row[] | string> {
  try {
    let text = ''
    for await (const piece of queryLake(settings.lake, sql, { format: 'ndjson' })) text += piece
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Row)
  } catch (thrown) {
    return asError(thrown).message
  }
}

async function placeOf(text: string): Promise<string> {
  try {
    const options = {
      city: embeddedDatabases('city'),
      asn: embeddedDatabases('asn'),
      checkMs: 3_600_000,
      ageDaysMax: 3_650,
      addressesMax: 10,
    }
    const { geoIp, release } = await shareGeoIp(options, {
      clock: systemClock,
      log: createLog('warn'),
      metrics: createMetrics(),
    })
    try {
      const { kind, location, autonomousSystem } = geoIp.lookup(text)
      const where = [location?.city, location?.region, location?.country].filter(Boolean).join(', ')
      const network = autonomousSystem ? `AS${autonomousSystem.number} ${autonomousSystem.name ?? ''}`.trim() : ''
      return [where, network].filter(part => part !== '').join('; ') || kind
    } finally {
      await release()
    }
  } catch (thrown) {
    return asError(thrown).message
  }
}

function page({ address, place, neverBlock, allowed, holds, ipSets, byAction, requests, refused }: Story): string {
  const active = holds.filter(({ state }) => state === 'active')
  const verdict =
    active.length > 0
      ? `held by ${active.length} ${active.length === 1 ? 'hold' : 'holds'}, the last until ${timeOf(Math.max(...active.map(({ untilMs }) => untilMs)))}`
      : 'not held'
  const lines = [
    `${address}   ${untrusted(place)}`,
    `${verdict}${active.length > 0 && active.every(({ dryRun }) => dryRun) ? ' (dry run)' : ''}`,
    ...(neverBlock ? [`never blocked: ${untrusted(neverBlock)}`] : []),
    ...allowed.map(
      ({ cidr, who, reason, untilMs }) =>
        `${cidr} is allowed until ${timeOf(untilMs)} by ${untrusted(who)}: ${untrusted(reason)}`,
    ),
    ...ipSets.map(({ place: where, ipSet, cidr, state }) => `${cidr} is in ${ipSet} (${where}): ${state}`),
  ]
  if (holds.length > 0) {
    lines.push(
      '',
      'Holds',
      render(holds.map(rowOf), HOLD_COLUMNS, 'table'),
      '',
      'What happened',
      historyOf(holds, 'table'),
    )
  }
  if (typeof refused !== 'string' && refused.length > 0) lines.push('', 'Refused to block it', table(refused))
  lines.push('', `Requests of the last ${DAYS_MAX} days`, table(byAction), '', 'Latest requests', table(requests))
  return lines.join('\n')
}

function table(rows: readonly Row[] | string): string {
  if (typeof rows === 'string') return untrusted(rows)
  const [first] = rows
  return first ? render(rows, Object.keys(first), 'table') : 'none in the lake'
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
