import type { DeadLetter } from '../../engine/contract.ts'
import { RecordEvent, recordId } from '../../engine/event.ts'
import { placeOf } from '../../platform/topics/place.ts'
import { countingDetector } from '../support/counting-detector.ts'
import { TOPIC } from './process.ts'
import type { World } from './world.ts'

interface Sent {
  readonly n: number
  readonly fate: string
  readonly raw: Buffer
  readonly acknowledged: boolean
}

const NONE = /^(?!)/

/** Which dead letters a record of each fate may become; 'poison:' none, as no crash of a world falls into a stage. */
const reasons: Readonly<Record<string, RegExp>> = {
  ok: NONE,
  dull: NONE,
  bad: /^bad$/,
  poison: /^stage_failed: simulated: poison$/,
  unstorable: /^(unstorable|lake_row): simulated$/,
  refused: /^mapping: simulated$/,
}

/** What must hold at the end of a world's story. Everything that does not is a violation of it. */
export async function judge(world: World): Promise<readonly string[]> {
  const sent = allSent(world)
  const stored = await everythingIn(world)
  judgeTopic(
    world,
    sent,
    stored.map(({ id }) => id),
  )
  if (world.purpose === 'counting') {
    judgeAlerts(world, sent, stored)
    return world.violations
  }
  const dead = judgeDeadLetters(world, sent, 'waf')
  judgeDocuments(world, sent, 'search', world.search.byId, dead, ['ok', 'unstorable'])
  judgeDocuments(world, sent, 'archive', world.archive.byId, dead, ['ok', 'unstorable', 'refused'])
  judgeDocuments(world, sent, 'lake', rowsOf(world), judgeDeadLetters(world, sent, 'lake'), ['ok', 'refused'])
  return world.violations
}

function allSent(world: World): ReadonlyMap<string, Sent> {
  const sent = new Map<string, Sent>()
  for (const { records, acknowledged } of world.client.requests) {
    for (const raw of records) {
      const { n, fate } = JSON.parse(raw.toString()) as { n: number; fate: string }
      sent.set(recordId(raw), { n, fate, raw, acknowledged })
    }
  }
  return sent
}

interface Stored {
  readonly id: string
  /** Where it stands. */
  readonly stream: string
}

async function everythingIn(world: World): Promise<readonly Stored[]> {
  const listener = { assigned: () => undefined, revoked: () => undefined }
  const limits = { recordsMax: 10_000, bytesMax: 1e9 }
  const options = { group: 'oracle', topics: [TOPIC], from: 'earliest' as const, ...limits, listener }
  const subscription = await world.log.subscribe(options)
  const ids: Stored[] = []
  const parts = world.log.describe().filter(({ topic }) => topic === TOPIC)
  const total = parts.reduce((sum, { end }) => sum + Number(end), 0)
  while (ids.length < total) {
    const fetched = await subscription.poll(AbortSignal.timeout(5000))
    if (!fetched) break
    ids.push(...fetched.records.map(({ value }) => ({ id: recordId(value!), stream: placeOf(fetched) })))
  }
  await subscription.close()
  return ids
}

function judgeTopic(world: World, sent: ReadonlyMap<string, Sent>, ids: readonly string[]): void {
  const seen = new Set<string>()
  for (const id of ids) {
    if (seen.has(id)) world.violated(`record ${sent.get(id)?.n} is twice in the topic`)
    if (!sent.has(id)) world.violated(`the topic holds ${id}, which nobody sent`)
    seen.add(id)
  }
  for (const [id, { n, acknowledged }] of sent) {
    if (acknowledged && !seen.has(id)) world.violated(`record ${n} was acknowledged and is lost before the topic`)
  }
}

function judgeDeadLetters(world: World, sent: ReadonlyMap<string, Sent>, pipeline: string): ReadonlySet<string> {
  const letters: readonly DeadLetter[] = world.deadLetters(pipeline)
  for (const { id, raw, reason } of letters) {
    const record = sent.get(id)
    if (!record?.raw.equals(raw)) world.violated(`the dead letter of ${pipeline} holds ${id}, which nobody sent`)
    else if (!reasons[record.fate]!.test(reason)) {
      world.violated(`record ${record.n} (${record.fate}) was dead-lettered without cause: ${reason}`)
    }
  }
  return new Set(letters.map(({ id }) => id))
}

/** All rows of all objects by id. */
function rowsOf(world: World): ReadonlyMap<string, string> {
  const rows = new Map<string, string>()
  for (const [name, object] of world.lake.byName) {
    for (const [id, { content }] of object) {
      if (rows.has(id)) world.violated(`lake: ${content} is doubled, the second time in ${name}`)
      rows.set(id, content)
    }
  }
  return rows
}

function judgeDocuments(
  world: World,
  sent: ReadonlyMap<string, Sent>,
  name: string,
  stored: ReadonlyMap<string, string>,
  dead: ReadonlySet<string>,
  wanted: readonly string[],
): void {
  for (const [id, { n, fate, acknowledged }] of sent) {
    if (acknowledged && fate !== 'dull' && !stored.has(id) && !dead.has(id)) {
      world.violated(`record ${n} (${fate}) was acknowledged and is lost before ${name}`)
    }
  }
  for (const [id, content] of stored) {
    const record = sent.get(id)
    if (!record) world.violated(`${name} holds ${id}, which nobody sent`)
    else if (!wanted.includes(record.fate)) world.violated(`${name} holds record ${record.n}, which is ${record.fate}`)
    else if ((JSON.parse(content) as { count: number }).count !== record.n) {
      world.violated(`${name} holds other content than was sent for record ${record.n}`)
    }
  }
}

/** The alerts of a detector that was never disturbed, over the topic as it stands. */
function judgeAlerts(world: World, sent: ReadonlyMap<string, Sent>, stored: readonly Stored[]): void {
  const detector = countingDetector()
  const expected = new Map<string, string>()
  for (const { id, stream } of stored) {
    const { raw, fate } = sent.get(id)!
    if (['bad', 'dull', 'poison'].includes(fate)) continue
    const event = new RecordEvent('waf', raw, 0, { stream, position: 0n })
    detector.detect([event], alert => expected.set(alert.id, JSON.stringify(alert.body)))
  }
  for (const [id, content] of expected) {
    const given = world.alerts.byId.get(id)
    if (given === undefined) world.violated(`the alert ${id} is missing`)
    else if (given !== content) world.violated(`the alert ${id} says ${given}, and not ${content}`)
  }
  for (const id of world.alerts.byId.keys()) if (!expected.has(id)) world.violated(`the alert ${id} is made up`)
}
