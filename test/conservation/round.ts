import type { Client } from '../real/servers/kafka-topics.ts'
import { pause } from '../support/program.ts'
import { Random } from '../support/random.ts'
import { befall, CALM, type PlannedFault, planOf } from './faults.ts'
import { type Judgement, judge } from './judge.ts'
import type { Plant } from './plants.ts'
import { httpProducer, type Producer, topicProducer } from './producer.ts'
import { readAll } from './readings.ts'
import { Ledger } from './records.ts'
import { groups, KEY, lagsOf, type Servers, type System, startSystem, stopSystem, TOPIC } from './system.ts'

export interface RoundOptions {
  readonly name: string
  /** Decides the records and which faults come when. */
  readonly seed: number
  readonly client: Client
  readonly faults: number
  readonly windowMs: number
  /** With the faults under which it shows. */
  readonly plant?: Plant
}

export interface RoundResult extends Judgement {
  readonly plan: readonly PlannedFault[]
  readonly acknowledgedByHttp: number
  readonly acknowledgedByKafka: number
  /** Seconds from the end of the faults until everything was settled; undefined: it never was. */
  readonly settledSeconds: number | undefined
  /** Processes that ended by themselves, with their last words. */
  readonly ownEnds: readonly string[]
  /** Exit codes after SIGTERM that are not 0. */
  readonly badExits: readonly string[]
  readonly restarts: number
}

/** After the faults. Long, as the machine may be busy: to be alive is promised, not to be quick. */
const SETTLE_MS_MAX = 240_000
/** Records of each producer: what there must be before anything is broken, and after everything is mended. */
const ACKNOWLEDGED_BEFORE = 100
const ACKNOWLEDGED_AFTER = 60

/** One story: everything runs, records come by two roads, faults befall, all heals, everything is settled, the oracle reads. */
export async function runRound(servers: Servers, options: RoundOptions): Promise<RoundResult> {
  const { name, seed, client, plant } = options
  const plan = plant?.plan ?? planOf(seed, options.faults, options.windowMs)
  const system = await startSystem(servers, { name, seed, client, plant })
  const ledger = new Ledger(name, seed)
  const { http, kafka } = producersOf(system, ledger, name, seed)
  const producers = [...http, ...kafka]
  try {
    system.ingest.chances = CALM
    const producing = Promise.all(producers.map(producer => producer.run()))
    await allAcknowledged(producers, ACKNOWLEDGED_BEFORE)
    await befall(system, plan)
    // Something fresh must come through, too.
    await allAcknowledged(producers, ACKNOWLEDGED_AFTER)
    for (const producer of producers) producer.stop()
    const healedMs = Date.now()
    const settled = await allSettled(system, producing, healedMs + SETTLE_MS_MAX)
    const settledSeconds = settled ? (Date.now() - healedMs) / 1_000 : undefined
    const badExits = await stopMembers(system)
    const restarts = system.members.reduce((total, { starts }) => total + starts - 1, 0)
    // A fault, and a process that begins anew, share the partitions out twice at most: when somebody is gone and when he is back.
    const readsMax = 1 + 2 * (plan.length + restarts)
    const judgement = judge(ledger.byId, await readAll(system), readsMax)
    const sum = (some: readonly Producer[]): number => some.reduce((total, { acknowledged }) => total + acknowledged, 0)
    return {
      ...judgement,
      plan,
      acknowledgedByHttp: sum(http),
      acknowledgedByKafka: sum(kafka),
      settledSeconds,
      ownEnds: system.members.flatMap(({ ownEnds }) => ownEnds),
      badExits,
      restarts,
    }
  } finally {
    for (const producer of producers) producer.abandon()
    await stopSystem(system)
  }
}

interface Producers {
  readonly http: readonly Producer[]
  readonly kafka: readonly Producer[]
}

function producersOf({ ingest, topics }: System, ledger: Ledger, name: string, seed: number): Producers {
  const random = new Random(seed)
  return {
    http: ['a', 'b'].map(each => httpProducer(ingest.url, KEY, `${name}-${each}`, ledger, random.fork())),
    kafka: [topicProducer(topics, TOPIC, ledger, random.fork())],
  }
}

/** Until each producer has so many more. What never comes is noticed in the end. */
async function allAcknowledged(producers: readonly Producer[], count: number): Promise<void> {
  const untilMs = Date.now() + SETTLE_MS_MAX
  const wanted = producers.map(({ acknowledged }) => acknowledged + count)
  while (producers.some(({ acknowledged }, at) => acknowledged < wanted[at]!) && Date.now() < untilMs) await pause(50)
}

/** False when what was sent is not acknowledged and settled by every group until then. */
async function allSettled(system: System, producing: Promise<unknown>, untilMs: number): Promise<boolean> {
  let produced = false
  void producing.then(() => {
    produced = true
  })
  while (Date.now() < untilMs) {
    const lags = produced ? await lagsOf(system).catch(() => undefined) : undefined
    if (lags && groups.every(group => lags[group] === 0)) return true
    await pause(250)
  }
  return false
}

/** All of them are back and end in good order. */
async function stopMembers({ members }: System): Promise<readonly string[]> {
  await Promise.all(members.map(member => member.ready()))
  const codes = await Promise.all(members.map(member => member.stop()))
  return members.flatMap((member, at) =>
    codes[at] === 0 ? [] : [`${member.name} ended with ${codes[at]}: ${member.output.slice(-600)}`],
  )
}

/** Everything that must be as it is promised, as a list of what is not. */
export function complaintsOf(result: RoundResult): readonly string[] {
  const { acknowledgedByHttp, acknowledgedByKafka, settledSeconds, repeatsOnTheWire, letters } = result
  return [
    ...result.examples,
    ...result.badExits,
    ...(settledSeconds === undefined ? ['not everything was acknowledged and settled after the faults'] : []),
    ...(Math.min(acknowledgedByHttp, acknowledgedByKafka) > 100 ? [] : ['too few records came to prove anything']),
    ...(letters > 0 ? [] : ['no dead letter came']),
    ...(repeatsOnTheWire > 0 ? [] : ['nothing was repeated on the wire: the round proved nothing about repeats']),
  ]
}
