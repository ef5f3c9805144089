import { parseArgs } from 'node:util'
import { clientPrefix, formatCidr, parseCidr } from '../../platform/address.ts'
import { systemClock } from '../../platform/clock.ts'
import { parseDuration } from '../../platform/duration.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { type AuditRecord, auditEvents } from '../../platform/response/audit.ts'
import { type AuditQuery, readAudits } from '../audits.ts'
import type { Command } from '../command.ts'
import { readSettings } from '../settings.ts'
import { formatOf, type Row, render } from '../terminal.ts'

const LIMIT = 50
const LIMIT_MAX = 10_000
const COLUMNS = ['time', 'what', 'target', 'who', 'why', 'detail', 'dry_run', 'id']
const ID_CHARS = 8

/** Who changed what, when and why: for whoever has to answer for it. */
export const audit: Command = {
  name: 'audit',
  usage:
    '[TARGET] [--what EVENT] [--incident ID] [--rule ID] [--by NAME] [--since 24h] [--limit N] [-o table|json|ndjson]',
  summary:
    'what was changed in the WAF, the ledger and access keys, by whom, when and why, newest first; TARGET: an address, network, key or hold',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        what: { type: 'string' },
        incident: { type: 'string' },
        rule: { type: 'string' },
        by: { type: 'string' },
        since: { type: 'string' },
        limit: { type: 'string', default: String(LIMIT) },
        output: { type: 'string', short: 'o' },
      },
    })
    const [target, extra] = positionals
    if (extra !== undefined) throw new HaetaeError('USAGE', 'name one target, or none for all of them')
    const format = formatOf(values.output)
    const limit = limitOf(values.limit)
    const { what, incident, rule, by, since } = values
    const isNamed: (audit: AuditRecord) => boolean = target === undefined ? () => true : targeting(target)
    const kind = what === undefined ? undefined : eventNamed(what)
    const query: AuditQuery = {
      limit,
      sinceMs: since === undefined ? 0 : systemClock.now() - parseDuration(since, '--since'),
      isWanted: each =>
        isNamed(each) &&
        (kind === undefined || each.what === kind) &&
        (incident === undefined || each.incident_uid?.startsWith(incident) === true) &&
        (rule === undefined || each.rule === rule) &&
        (by === undefined || each.who === by),
    }
    const found = await readAudits(readSettings(), query)
    if (found.length === 0)
      console.error(
        'no such change is in the topic audit, which keeps 30 days: the lake has all (haetae lake query, audit)',
      )
    if (format === 'json') console.log(JSON.stringify(found, null, 2))
    else if (format === 'ndjson') for (const each of found) console.log(JSON.stringify(each))
    else if (found.length > 0) console.log(render(found.map(rowOf), COLUMNS, format))
    if (found.length === limit) console.error(`the newest ${limit}: --limit shows more`)
    return 0
  },
}

/** As a table: what came of it, and why, in two columns. */
function rowOf(given: AuditRecord): Row {
  const {
    time,
    what,
    target = '',
    who,
    reason = '',
    skip_reason = '',
    dry_run,
    hold = '',
    until_ms,
    place = '',
  } = given
  const { ip_set = '', latency_ms, incident_uid } = given
  const detail = [
    place === '' ? '' : `${ip_set} in ${place}`,
    latency_ms === undefined ? '' : `${latency_ms} ms after it was received`,
    until_ms === undefined ? '' : `until ${timeOf(until_ms)}`,
    incident_uid === undefined ? '' : `incident ${incident_uid.slice(0, ID_CHARS)}`,
  ]
  return {
    time: timeOf(time),
    what,
    target,
    who,
    why: [skip_reason, reason].filter(part => part !== '').join(': '),
    detail: detail.filter(part => part !== '').join(', '),
    dry_run,
    id: hold.slice(0, ID_CHARS),
  }
}

/** Exactly this address or network (of an IPv6 client its /64, too), this key, or a hold whose id begins so. */
function targeting(text: string): (audit: AuditRecord) => boolean {
  const cidr = parseCidr(text)
  if (!cidr)
    return ({ target, hold }) => target === text || (/^[0-9a-f]{4,32}$/.test(text) && hold?.startsWith(text) === true)
  const single = cidr.prefixLength === (cidr.address.family === 4 ? 32 : 128)
  const names = new Set([text, formatCidr(cidr)])
  if (single) names.add(formatCidr(cidr).replace(/\/\d+$/, '')).add(clientPrefix(cidr.address))
  return ({ target }) => target !== undefined && names.has(target)
}

function eventNamed(text: string): AuditRecord['what'] {
  const found = auditEvents.find(each => each === text)
  if (!found) throw new HaetaeError('USAGE', `--what is one of ${auditEvents.join(', ')}`)
  return found
}

function limitOf(text: string): number {
  const limit = Number(text)
  if (Number.isInteger(limit) && limit > 0 && limit <= LIMIT_MAX) return limit
  throw new HaetaeError('USAGE', `--limit ${text}: a whole number from 1 to ${LIMIT_MAX} is needed`)
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
