import { randomUUID } from 'node:crypto'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { systemClock } from '../../platform/clock.ts'
import { HaetaeError, hasCode } from '../../platform/errors.ts'
import { type Incident, readIncident } from '../../platform/incident.ts'
import { auditRecord } from '../../platform/response/audit.ts'
import { untrusted } from '../../platform/untrusted.ts'
import type { Command } from '../command.ts'
import { readSettings, type Settings } from '../settings.ts'
import { type Format, formatOf, type Row, render } from '../terminal.ts'
import { withAsked } from '../topics/ask.ts'

const HOUR_MS = 3_600_000
/** How long a command waits to see that what it said has arrived. */
const APPLIED_MS_MAX = 10_000
const LOOK_EVERY_MS = 300
const COLUMNS = [
  'number',
  'severity',
  'state',
  'opened',
  'title',
  'target',
  'alerts',
  'addresses',
  'blocked',
  'seen_by',
]
const SEVERITIES = ['', 'info', 'low', 'medium', 'high', 'critical']

/** What a person may say of an incident: the same records that the buttons in Slack make. */
const sayings = {
  acknowledge: { what: 'incident_acknowledged', is: ({ acknowledged }: Incident) => acknowledged !== undefined },
  'false-positive': {
    what: 'incident_false_positive',
    is: ({ false_positive }: Incident) => false_positive !== undefined,
  },
  snooze: { what: 'incident_snoozed', is: ({ snoozed }: Incident) => snoozed !== undefined },
} as const
type Saying = keyof typeof sayings

export const incidents: Command = {
  name: 'incidents',
  usage:
    'list [--all] | show INC | acknowledge INC | false-positive INC | snooze INC   [--by NAME] [-o table|json|ndjson]',
  summary:
    'show what belongs together and is going on, and say that you have it, that it is none, or that nobody needs to hear of it ' +
    'for an hour (INC: its number, or how its id begins)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        by: { type: 'string' },
        all: { type: 'boolean', default: false },
      },
    })
    const [action, name, extra] = positionals
    const format = formatOf(values.output)
    const settings = readSettings()
    if (action === 'list' && name === undefined) return list(settings, values.all, format)
    const saying = (Object.keys(sayings) as Saying[]).find(each => each === action)
    if ((action !== 'show' && !saying) || name === undefined || extra !== undefined) {
      throw new HaetaeError(
        'USAGE',
        'list stands alone; show, acknowledge, false-positive and snooze need one incident',
      )
    }
    const incident = named(await read(settings), name)
    if (!saying) return show(incident, format)
    return say(settings, saying, incident, values.by ?? userInfo().username)
  },
}

async function list(settings: Settings, all: boolean, format: Format): Promise<number> {
  const shown = (await read(settings))
    .filter(({ state, merged_into }) => all || (state === 'open' && merged_into === undefined))
    .sort((a, b) => b.severity_id - a.severity_id || b.updated_time - a.updated_time)
  if (shown.length === 0 && format === 'table')
    console.error(all ? 'There are no incidents.' : 'No incident is open. --all shows those that are over.')
  else if (format === 'table') console.log(render(shown.map(rowOf), COLUMNS, format))
  else
    console.log(format === 'json' ? JSON.stringify(shown, null, 2) : shown.map(each => JSON.stringify(each)).join('\n'))
  return 0
}

function show(incident: Incident, format: Format): number {
  if (format !== 'table') {
    console.log(format === 'json' ? JSON.stringify(incident, null, 2) : JSON.stringify(incident))
    return 0
  }
  const { rules, addresses, address_count, runbook, timeline, uid } = incident
  const story = timeline.map(
    ({ time, what, detail = '', who = '' }): Row => ({ time: timeOf(time), what, who, detail }),
  )
  const lines = [
    render([rowOf(incident)], COLUMNS, 'table'),
    '',
    `id         ${uid}`,
    `rules      ${untrusted(rules.map(({ title, count }) => `${title} (${count})`).join(', '))}`,
    `addresses  ${untrusted(addresses.slice(0, 20).join(' '))}${address_count > 20 ? ` and ${address_count - 20} more` : ''}`,
    ...(runbook === undefined ? [] : [`to do      ${untrusted(runbook)}`]),
    '',
    render(story, ['time', 'what', 'who', 'detail'], 'table'),
  ]
  console.log(lines.join('\n'))
  return 0
}

async function say(settings: Settings, saying: Saying, incident: Incident, who: string): Promise<number> {
  const { uid, number, severity_id, state } = incident
  if (saying === 'snooze' && severity_id === 5) throw new HaetaeError('USAGE', 'a critical incident cannot be snoozed')
  if (saying === 'snooze' && state === 'closed') throw new HaetaeError('USAGE', `INC-${number} is over`)
  const time = systemClock.now()
  const record = auditRecord([randomUUID()], {
    time,
    what: sayings[saying].what,
    incident_uid: uid,
    who,
    source: 'cli',
    ...(saying === 'snooze' ? { until_ms: time + HOUR_MS } : {}),
    dry_run: false,
  })
  const value = Buffer.from(JSON.stringify(record))
  await withAsked(settings, asked => asked.append('audit', [{ key: uid, value, timeMs: time }]))
  const untilMs = systemClock.monotonicMs() + APPLIED_MS_MAX
  while (systemClock.monotonicMs() < untilMs) {
    const now = (await read(settings)).find(each => each.uid === uid)
    if (now && sayings[saying].is(now)) {
      console.error(
        `INC-${number}: ${saying}${now.acknowledged ? `, acknowledged by ${untrusted(now.acknowledged.by)}` : ''}`,
      )
      return 0
    }
    await systemClock.wait(LOOK_EVERY_MS)
  }
  console.error(`INC-${number}: it waits in the topic audit: is the pipeline respond running (\`haetae doctor\`)?`)
  return 1
}

/** Empty when no pipeline has made the topic yet. */
function read(settings: Settings): Promise<Incident[]> {
  return withAsked(settings, async asked => {
    const found: Incident[] = []
    try {
      for await (const { value } of asked.readCompacted('incidents')) {
        const incident = value ? readIncident(value) : undefined
        if (incident) found.push(incident)
      }
    } catch (thrown) {
      if (!hasCode(thrown, 'TOPIC_UNKNOWN')) throw thrown
    }
    return found
  })
}

function named(known: readonly Incident[], name: string): Incident {
  const number = /^(?:INC-)?(\d{1,9})$/i.exec(name)?.[1]
  const found = known.filter(each =>
    number === undefined ? each.uid.startsWith(name) : each.number === Number(number),
  )
  const [first] = found
  if (!first) throw new HaetaeError('USAGE', `there is no incident ${name}: haetae incidents list --all shows them`)
  if (found.length > 1) throw new HaetaeError('USAGE', `${name} begins ${found.length} ids: name more of it`)
  return first
}

function rowOf(incident: Incident): Row {
  const { number, severity_id, state, quiet_time, opened_time, title, targets, count, address_count, holds } = incident
  return {
    number: `INC-${number}`,
    severity: SEVERITIES[severity_id] ?? '',
    state: quiet_time === undefined ? state : 'quiet',
    opened: timeOf(opened_time),
    title: title.slice(0, 60),
    target: (targets[0] ?? '').slice(0, 40),
    alerts: count,
    addresses: address_count,
    blocked: holds.active,
    seen_by: incident.acknowledged?.by ?? incident.false_positive?.by ?? '',
  }
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
