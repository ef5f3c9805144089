/**
 * What the rules find: `npm run bench:detect -- [--count N] [--seed N] [--json]`. A made-up day with planted attacks, and with crowds that
 * look like attackers and are none, goes through the pipelines detect and correlate as they are shipped; every record is known to be
 * of an attack or not. Prints which attacks were found, how many alerts were about an attack (precision), how many of the
 * attackers' addresses were found (recall), and whose blocks were asked for. An attack that somebody else makes innocent people send
 * ("forced") is one that alerts may tell of, and for which nobody may be blocked.
 */
import { parseArgs } from 'node:util'
import type { Alert, Detector, Event } from '../engine/contract.ts'
import { RecordEvent, recordId } from '../engine/event.ts'
import { type NamedStage, runStages } from '../engine/stages.ts'
import { shippedPipelines } from '../pipelines/files.ts'
import { loadWithStandIns, offlineDeps } from '../pipelines/offline.ts'
import { readSettings } from '../pipelines/settings.ts'
import { generateLabelledWaf, type Labelled } from './generate/waf.ts'

const BATCH_EVENTS = 500
const HOUR_MS = 3_600_000

/** A shipped pipeline without source and sinks. */
class Half {
  readonly #stages: readonly NamedStage[]
  readonly #detectors: readonly Detector[]

  private constructor(stages: readonly NamedStage[], detectors: readonly Detector[]) {
    this.#stages = stages
    this.#detectors = detectors
  }

  static async open(name: string): Promise<Half> {
    const settings = readSettings()
    const file = shippedPipelines().find(each => each.endsWith(`/${name}.yaml`))
    if (!file) throw new Error(`there is no pipeline ${name}`)
    const { pipeline } = loadWithStandIns(file, settings)
    const deps = offlineDeps(name, settings)
    const stages: NamedStage[] = []
    for (const { spec, config } of pipeline.stages)
      stages.push({ name: spec.type, stage: await spec.open(config, deps) })
    const detectors: Detector[] = []
    for (const { spec, config } of pipeline.detectors) detectors.push(await spec.open(config, deps))
    return new Half(stages, detectors)
  }

  async alerts(batch: Event[]): Promise<Alert[]> {
    const { events, rejected } = await runStages(this.#stages, batch)
    if (rejected[0]) throw new Error(`a record was rejected: ${rejected[0].reason}`)
    const found: Alert[] = []
    for (const detector of this.#detectors) detector.detect(events, alert => found.push(alert))
    return found
  }

  async close(): Promise<void> {
    for (const { stage } of this.#stages) await stage.close?.()
  }
}

interface AlertFacts {
  readonly title: string
  readonly severity: Alert['severity']
  readonly block: string | undefined
  /** Episodes that its evidence is of; undefined among them: of none. */
  readonly of: ReadonlySet<Labelled['of']>
  readonly attack: boolean
  readonly addresses: readonly string[]
}

interface Finding {
  readonly metadata: { readonly logged_time?: number }
  readonly finding_info: { readonly title: string; readonly related_events?: readonly { readonly uid: string }[] }
  readonly evidences?: readonly { readonly uid?: string; readonly src_endpoint?: { readonly ip?: string } }[]
  readonly unmapped: {
    readonly haetae: {
      readonly actor?: { readonly type: string; readonly value: string }
      readonly respond: { readonly block: boolean }
    }
  }
}

function factsOf(alert: Alert, labels: ReadonlyMap<string, Labelled>): AlertFacts {
  const { finding_info, evidences = [], unmapped } = JSON.parse(String(alert.raw)) as Finding
  const uids = [...(finding_info.related_events ?? []), ...evidences].flatMap(({ uid }) => uid ?? [])
  const known = uids.flatMap(uid => labels.get(uid) ?? [])
  const { actor, respond } = unmapped.haetae
  return {
    title: finding_info.title,
    severity: alert.severity,
    block: respond.block && actor?.type === 'address' ? actor.value : undefined,
    of: new Set(known.map(({ of }) => of)),
    // One that counts many requests is about an attack when most of what it shows is.
    attack: known.filter(({ attack }) => attack).length * 2 > known.length,
    addresses: known.map(({ ip }) => ip),
  }
}

export async function run(count: number, seed: number): Promise<{ records: Labelled[]; found: AlertFacts[] }> {
  const detect = await Half.open('detect')
  const correlate = await Half.open('correlate')
  const startMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 25 * HOUR_MS
  const options = { seed, count, startMs, durationMs: 24 * HOUR_MS, people: 4_000, attackOdds: 2, crowds: true }
  const records = [...generateLabelledWaf(options)]
  const labels = new Map<string, Labelled>()
  const found: AlertFacts[] = []
  let position = 0n
  for (let at = 0; at < records.length; at += BATCH_EVENTS) {
    const batch = records.slice(at, at + BATCH_EVENTS).map(labelled => {
      const raw = Buffer.from(labelled.record)
      labels.set(recordId(raw), labelled)
      return new RecordEvent('waf', raw, labelled.timeMs, { stream: 'events.waf/0', position: position++ })
    })
    const alerts = await detect.alerts(batch)
    const matches = alerts
      .filter(({ kind }) => kind === 'match')
      .map(
        ({ raw, receivedMs }) =>
          new RecordEvent('match', raw, receivedMs, { stream: 'matches/0', position: position++ }),
      )
    for (let from = 0; from < matches.length; from += BATCH_EVENTS)
      alerts.push(...(await correlate.alerts(matches.slice(from, from + BATCH_EVENTS))))
    found.push(...alerts.filter(({ kind }) => kind === 'alert').map(alert => factsOf(alert, labels)))
  }
  await detect.close()
  await correlate.close()
  return { records, found }
}

/** Alerts of these levels are meant to be acted on; the others are context. */
const SERIOUS: readonly Alert['severity'][] = ['medium', 'high', 'critical']

export function report(records: readonly Labelled[], found: readonly AlertFacts[]) {
  const serious = found.filter(({ severity }) => SERIOUS.includes(severity))
  const names = [...new Set(records.map(({ of }) => of))].filter(name => name !== undefined)
  const episodes = names.map(name => {
    const own = records.filter(({ of }) => of === name)
    const addresses = new Set(own.map(({ ip }) => ip))
    const about = serious.filter(({ of }) => of.has(name))
    return {
      name,
      hostile: own[0]!.hostile,
      /** What it is to those who send it. */
      kind: own[0]!.hostile ? 'attack' : own[0]!.attack ? 'forced' : 'crowd',
      requests: own.length,
      addresses: addresses.size,
      alerts: about.length,
      rules: new Set(about.map(({ title }) => title)).size,
      found: new Set(about.flatMap(alert => alert.addresses).filter(ip => addresses.has(ip))).size,
      blocked: new Set(about.flatMap(({ block }) => block ?? []).filter(ip => addresses.has(ip))).size,
    }
  })
  const hostile = new Set(records.filter(each => each.hostile).map(({ ip }) => ip))
  const blocked = new Set(found.flatMap(({ block }) => block ?? []))
  const seen = new Set(serious.filter(alert => alert.attack).flatMap(({ addresses }) => addresses))
  return {
    episodes,
    alerts: serious.length,
    precision: serious.length === 0 ? 1 : serious.filter(alert => alert.attack).length / serious.length,
    recall: [...hostile].filter(ip => seen.has(ip)).length / hostile.size,
    attacksFound: episodes.filter(each => each.hostile && each.alerts > 0).length,
    attacks: episodes.filter(each => each.hostile).length,
    blockedHostile: [...blocked].filter(ip => hostile.has(ip)).length,
    blockedBenign: [...blocked].filter(ip => !hostile.has(ip)),
    wrongRules: [...new Set(serious.filter(alert => !alert.attack).map(({ title }) => title))],
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

function inLines(result: ReturnType<typeof report>): string {
  const rows = result.episodes.map(
    ({ name, kind, requests, addresses, alerts, rules, found, blocked }) =>
      `${name.padEnd(12)} ${kind.padEnd(7)} ${[requests, addresses, alerts, rules, found, blocked].map(n => String(n).padStart(9)).join('')}`,
  )
  const head = ['requests', 'addrs', 'alerts', 'rules', 'found', 'blocked'].map(word => word.padStart(9)).join('')
  return [
    `${' '.repeat(20)}${head}`,
    ...rows,
    '',
    `attacks found      ${result.attacksFound} of ${result.attacks}`,
    `precision          ${percent(result.precision)} of ${result.alerts} alerts of level medium and up are about an attack`,
    `recall             ${percent(result.recall)} of the attackers' addresses are in an alert`,
    `asked to block     ${result.blockedHostile} attackers, ${result.blockedBenign.length} others${result.blockedBenign.length > 0 ? `: ${result.blockedBenign.slice(0, 10).join(', ')}` : ''}`,
    ...(result.wrongRules.length > 0 ? [`wrong were         ${result.wrongRules.join('; ')}`] : []),
  ].join('\n')
}

function wholeNumber(text: string, name: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} must be a whole number, not ${text}`)
  return value
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '60000' },
      seed: { type: 'string', default: '31' },
      json: { type: 'boolean', default: false },
    },
  })
  const { records, found } = await run(wholeNumber(values.count, 'count'), wholeNumber(values.seed, 'seed'))
  const result = report(records, found)
  console.log(values.json ? JSON.stringify(result, null, 2) : inLines(result))
  const missed = result.attacksFound < result.attacks
  process.exitCode = missed || result.blockedBenign.length > 0 ? 1 : 0
}
