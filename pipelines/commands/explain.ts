import { parseArgs } from 'node:util'
import { type Event, type LogKind, logKinds } from '../../engine/contract.ts'
import { RecordEvent, trimmed } from '../../engine/event.ts'
import { HaetaeError } from '../../platform/errors.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { untrusted } from '../../platform/untrusted.ts'
import { sources } from '../../sources/index.ts'
import type { Command } from '../command.ts'
import { openByType } from '../compose.ts'
import { type Explained, Explainer, eventInLake, kindOfRecord } from '../explain.ts'
import { offlineDeps } from '../offline.ts'
import { type Outlook, Response } from '../outlook.ts'
import { readSettings, type Settings } from '../settings.ts'
import { formatOf } from '../terminal.ts'

const RECORDS_MAX = 20
const ID = /^[0-9a-f]{32}$/

/** What becomes of a record, and why: for whoever wonders why a rule fired, or did not. */
export const explain: Command = {
  name: 'explain',
  usage: `FILE|-|EVENT-ID [--kind ${logKinds.join('|')}] [--rules FOLDER …] [--records N] [-o table|json|ndjson]`,
  summary:
    'say what becomes of records: how they parse, which rules match or nearly do and why, what the response decides, and what the WAF has of it',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        kind: { type: 'string' },
        rules: { type: 'string', multiple: true, default: [] },
        records: { type: 'string', default: String(RECORDS_MAX) },
        output: { type: 'string', short: 'o' },
      },
    })
    const [what, extra] = positionals
    if (what === undefined || extra !== undefined)
      throw new HaetaeError('USAGE', 'name one file, - or the id of an event')
    const format = formatOf(values.output)
    const settings = readSettings()
    const deps = offlineDeps('explain', settings)
    const explainer = await Explainer.open(values.rules, deps)
    try {
      const found = ID.test(what)
        ? [await ofLake(what, explainer, settings.lake)]
        : await ofFile(what, kindOf(values.kind), countOf(values.records), explainer, deps)
      const explained = await withOutlook(found, settings)
      if (format === 'json') console.log(JSON.stringify(explained, null, 2))
      else for (const each of explained) console.log(format === 'ndjson' ? JSON.stringify(each) : inLines(each))
      return explained.some(({ rejected }) => rejected !== undefined) ? 1 : 0
    } finally {
      await explainer.close()
    }
  },
}

async function ofLake(id: string, explainer: Explainer, lake: string): Promise<Explained> {
  const found = await eventInLake(lake, id)
  if (!found) {
    throw new HaetaeError(
      'USAGE',
      `the lake in ${lake} has no event ${id}: it may not have been flushed yet (some 10 s)`,
    )
  }
  console.error('from the lake, where secrets are redacted: a rule that looks at one may say something else')
  return explainer.event(eventOf(id, found.kind, found.body))
}

/** As it was, but for its bytes: the lake does not keep them. */
function eventOf(id: string, kind: LogKind, body: OcsfEvent): Event {
  const timeMs = body.time ?? 0
  const none = { origin: undefined, marker: undefined, key: undefined, encode: undefined, replayed: false }
  return { ...none, id, kind, raw: Buffer.alloc(0), receivedMs: timeMs, timeMs, body }
}

interface WithOutlook extends Omit<Explained, 'asked'> {
  readonly response: readonly Outlook[]
  /** Why the ledger could not be asked. */
  readonly ledger?: string
}

/** The ledger is asked only when something asks for it. */
async function withOutlook(found: readonly Explained[], settings: Settings): Promise<readonly WithOutlook[]> {
  const response = found.some(({ asked }) => asked.length > 0) ? await Response.open(settings) : undefined
  const complete: WithOutlook[] = []
  for (const { asked, ...rest } of found) {
    const outlooks: Outlook[] = []
    for (const each of asked) outlooks.push(await response!.outlook(each))
    const problem = asked.length > 0 ? response?.problem : undefined
    complete.push({ ...rest, response: outlooks, ...(problem === undefined ? {} : { ledger: problem }) })
  }
  return complete
}

async function ofFile(
  path: string,
  given: LogKind | undefined,
  recordsMax: number,
  explainer: Explainer,
  deps: ReturnType<typeof offlineDeps>,
): Promise<Explained[]> {
  const source = await openByType(sources, 'file', { path, kind: given ?? 'waf' }, deps)
  const explained: Explained[] = []
  try {
    const never = new AbortController().signal
    for (let read = await source.read(never); read && explained.length < recordsMax; read = await source.read(never)) {
      for (const { raw } of read.batch.slice(0, recordsMax - explained.length)) {
        const kind = given ?? kindOfRecord(raw.toString()) ?? 'waf'
        explained.push(await explainer.record(new RecordEvent(kind, trimmed(raw), deps.clock.now())))
      }
    }
  } finally {
    await source.close()
  }
  if (explained.length === 0) throw new HaetaeError('USAGE', `${path}: there is no record in it`)
  return explained
}

function kindOf(text: string | undefined): LogKind | undefined {
  const kind = logKinds.find(each => each === text)
  if (text !== undefined && !kind) throw new HaetaeError('USAGE', `--kind is one of ${logKinds.join(', ')}`)
  return kind
}

function countOf(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count > 0 && count <= 1_000) return count
  throw new HaetaeError('USAGE', `--records ${text}: a whole number from 1 to 1000 is needed`)
}

/** For people, some lines; nothing that a stranger wrote acts on the terminal. */
function inLines({ kind, id, rejected, event, rules, counted, response, ledger }: WithOutlook): string {
  const lines = [`event     ${id}  ${kind}`]
  if (rejected !== undefined) return [...lines, `parse     refused: ${rejected}`, ''].map(untrusted).join('\n')
  lines.push(`parse     ${summaryOf(event!)}`, `enrich    ${placesOf(event!)}`)
  const matched = rules.filter(each => each.matched)
  const near = rules.filter(each => !each.matched)
  lines.push(`rules     ${matched.length} match, ${near.length} nearly do`)
  for (const { level, title, held, feeds } of matched) {
    lines.push(`  match   ${level}: ${title}${feeds ? ' (counted by correlations, no alert of its own)' : ''}`)
    for (const each of held) lines.push(`            ${each}`)
  }
  for (const { level, title, held, missing } of near) {
    lines.push(`  near    ${level}: ${title}`)
    for (const each of held) lines.push(`            ${each}`)
    for (const each of missing) lines.push(`            but not: ${each}`)
  }
  for (const { level, title, type, groupBy, rule } of counted) {
    lines.push(`  counts  ${level}: ${title} (${type} by ${groupBy.join(', ') || 'nothing'}), by the rule ${rule}`)
  }
  if (response.length === 0) lines.push('response  none of them asks for one')
  for (const each of response) lines.push(...outlookLines(each))
  if (ledger !== undefined) lines.push(`ledger    cannot be read, as if it were empty: ${ledger}`)
  lines.push('')
  return lines.map(untrusted).join('\n')
}

function outlookLines(given: Outlook): readonly string[] {
  const { title, once, type, target, outcome, detail, ifNow, dryRun, holds, audits } = given
  const about = type === 'disable_key' ? 'disable the access key' : type
  const when = once === 'now' ? '' : ', once it has counted enough'
  const said = (of: { readonly outcome: string; readonly detail: string }): string =>
    [of.outcome, of.detail].filter(part => part !== '').join(': ')
  const lines = [
    `response  ${title} asks to ${about} ${target}${when}`,
    `decision  ${said({ outcome, detail })}${dryRun ? ' (a dry run: HAETAE_BLOCKING is off)' : ''}`,
  ]
  if (ifNow) lines.push(`          had it come just now: ${said(ifNow)}`)
  for (const { uid, target: held, state, untilMs, who, reason, dryRun: dry, waf } of holds) {
    const until = `${state}, until ${timeOf(untilMs)}, by ${who}: ${reason}${dry ? ' (dry run)' : ''}`
    lines.push(`hold      ${uid.slice(0, 8)} ${held}: ${until}`, ...waf.map(each => `waf       ${each}`))
  }
  for (const { time, what, who, reason = '', skip_reason = '' } of audits) {
    lines.push(
      `audit     ${timeOf(time)} ${[what, skip_reason, reason].filter(part => part !== '').join(': ')} (${who})`,
    )
  }
  return lines
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

function summaryOf({
  class_name,
  http_request,
  disposition,
  firewall_rule,
  finding_info,
  severity,
}: OcsfEvent): string {
  if (!http_request)
    return `${class_name}: ${String(finding_info?.['title'] ?? 'no title')}, ${severity ?? 'no severity'}`
  const { http_method = '', url, args } = http_request
  const target = `${url?.hostname ?? ''}${url?.path ?? ''}${args ? `?${args}` : ''}`
  return `${class_name}: ${http_method} ${target}, ${disposition ?? 'no verdict'} by ${firewall_rule?.uid ?? 'the default action'}`
}

function placesOf({ src_endpoint, evidences = [] }: OcsfEvent): string {
  const endpoints = [src_endpoint, ...evidences.map(each => each['src_endpoint'] as OcsfEvent['src_endpoint'])]
  const said = endpoints.flatMap(endpoint => {
    if (!endpoint?.ip) return []
    const { ip, location, autonomous_system: as, network_scope } = endpoint
    const parts = [location?.country, location?.city, as && `AS${as.number} ${as.name ?? ''}`.trim(), network_scope]
    return [`${ip}: ${parts.filter(Boolean).join(', ') || 'nothing known'}`]
  })
  return said.join('; ') || 'no address'
}
