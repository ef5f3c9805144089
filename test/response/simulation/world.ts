import { formatCidr, parseCidr } from '../../../platform/address.ts'
import type { Clock } from '../../../platform/clock.ts'
import { silentLog } from '../../../platform/log.ts'
import { createMetrics } from '../../../platform/metrics.ts'
import type { AuditRecord } from '../../../platform/response/audit.ts'
import { type Decision, decisionSchema } from '../../../platform/response/decision.ts'
import { stableId } from '../../../platform/stable-id.ts'
import { Guard } from '../../../response/holds/guard.ts'
import { metersOf } from '../../../response/holds/meters.ts'
import { NeverBlock } from '../../../response/holds/never-block.ts'
import { Owner } from '../../../response/holds/owner.ts'
import type { LedgerStore } from '../../../response/holds/store.ts'
import type { WafApi } from '../../../response/waf/api.ts'
import { FakeWaf, type Fate } from '../../../response/waf/fake.ts'
import { IpSets } from '../../../response/waf/ip-sets.ts'
import { Pace } from '../../../response/waf/pace.ts'
import { Life } from '../../simulation/life.ts'
import { SimTime } from '../../simulation/time.ts'
import { MemoryTopics } from '../../support/memory-topics.ts'
import { ledgerTopics } from '../../support/owner.ts'
import { Random } from '../../support/random.ts'
import { Oracle } from './oracle.ts'
import { type Plant, PlantedStore } from './plants.ts'

export const SETS = ['haetae-block-v4', 'haetae-block-v4-more', 'haetae-block-v6'] as const
const MINUTE_MS = 60_000
const CHAOS_MS = 3 * MINUTE_MS
const CALM_MS = 3 * MINUTE_MS

class Process {
  readonly life: Life
  readonly owner: Owner
  revoked = false
  constructor(life: Life, owner: Owner) {
    this.life = life
    this.owner = owner
  }
}

/** Everything that outlives a process: topics, IP sets, operators; and what befalls them. */
export class World {
  readonly random: Random
  readonly time = new SimTime()
  readonly topics = new MemoryTopics()
  readonly waf: FakeWaf
  readonly oracle: Oracle
  readonly census = new Map<string, number>()
  readonly decisions: Decision[] = []
  readonly plant: Plant | undefined
  /** The wall clock is wrong by this much. */
  wallOffMs = 0
  #committed = 0
  #process: Process | undefined
  #calm = false
  readonly #trouble: number
  readonly #slowMs: number
  #made = 0
  #started = 0

  constructor(seed: number, plant?: Plant) {
    this.random = new Random(seed)
    this.plant = plant
    this.#trouble = this.random.pick([0, 0.05, 0.2, 0.4])
    this.#slowMs = this.random.pick([5, 200, 3_000])
    let tokens = 0
    this.waf = new FakeWaf(
      { now: () => this.time.nowMs, monotonicMs: () => this.time.nowMs, wait: ms => this.time.sleep(ms) },
      () => `token-${tokens++}`,
    )
    for (const name of SETS)
      this.waf.create(name, name.endsWith('v6') ? 'IPV6' : 'IPV4', 'REGIONAL', 'made by an operator')
    this.oracle = new Oracle(this)
  }

  happened(what: string): void {
    this.census.set(what, (this.census.get(what) ?? 0) + 1)
  }

  get wallMs(): number {
    return Math.floor(this.time.nowMs) + this.wallOffMs
  }

  get audits(): readonly AuditRecord[] {
    return this.topics.appended
      .filter(({ topic }) => topic === ledgerTopics.audit)
      .flatMap(({ records }) => records.map(({ value }) => JSON.parse(String(value)) as AuditRecord))
  }

  async live(): Promise<void> {
    const endMs = this.time.nowMs + CHAOS_MS
    this.#start()
    void this.#feed()
    this.#plan(500, 8_000, () => this.#ask())
    this.#plan(2_000, 30_000, () => this.#operate())
    this.#plan(1_000, 40_000, () => this.#end())
    if (this.random.chance(0.3)) this.#plan(10_000, 60_000, () => this.#jump())
    await this.time.runUntil(() => false, endMs)
    this.#calm = true
    this.wallOffMs = 0
    if (!this.#process) this.#start()
    await this.time.runUntil(() => false, endMs + CALM_MS)
    await this.oracle.settled(() => this.time.runUntil(() => false, this.time.nowMs + 10_000).then(() => undefined))
    // Everything ends: nothing of ours may be left behind.
    this.wallOffMs = 24 * 60 * MINUTE_MS
    await this.time.runUntil(() => false, this.time.nowMs + CALM_MS)
    await this.oracle.over()
    if (this.#process) this.#process.life.kill()
  }

  /** Again and again while there is chaos. */
  #plan(minMs: number, maxMs: number, act: () => void): void {
    this.time.after(this.random.int(minMs, maxMs), () => {
      if (this.#calm) return
      act()
      this.#plan(minMs, maxMs, act)
    })
  }

  #start(): void {
    const life = new Life('here', ++this.#started)
    this.happened('start')
    const own: { process?: Process } = {}
    const clock: Clock = { ...this.time.clock(life), now: () => this.wallMs }
    const api = this.#watched(life, own)
    const sets = new IpSets({ api, scope: 'REGIONAL', region: 'ap-northeast-2', prefix: 'haetae-block-', clock })
    const store = this.#store(life, own)
    const owner = new Owner({
      store,
      neverBlock: guarded(),
      limits: { minuteMax: 1_000, hourMax: 10_000, networkHourMax: 10_000 },
      terms: {
        ttlMs: MINUTE_MS,
        stepFactor: 2,
        ttlMsMax: 4 * MINUTE_MS,
        memoryMs: 30 * MINUTE_MS,
        evidenceAgeMsMax: 15 * MINUTE_MS,
        holdsMax: 10_000,
        personTtlMsMax: 10 * MINUTE_MS,
      },
      dryRun: false,
      places: [{ sets, writes: new Pace(1_050, clock) }],
      clock,
      log: silentLog,
      meters: metersOf({ metrics: createMetrics(), pipeline: 'block' }),
      random: () => this.random.next(),
      paused: () => undefined,
      asks: () => undefined,
    })
    this.#process = own.process = new Process(life, owner)
    owner.start()
  }

  /** A kill at any moment, or a revocation: then what is under way goes on, and another begins. */
  #end(): void {
    const process = this.#process
    if (!process) return
    this.#process = undefined
    if (this.random.chance(0.7)) {
      this.happened('kill')
      process.life.kill()
    } else {
      this.happened('revoke')
      process.revoked = true
      process.owner.revoke()
    }
    this.time.after(this.random.pick([0, 50, 5_000, 90_000]), () => this.#process ?? this.#start())
  }

  /** Reads decisions in order and commits what came through. */
  async #feed(): Promise<void> {
    for (;;) {
      await this.time.sleep(100)
      const process = this.#process
      const batch = this.decisions.slice(this.#committed, this.#committed + 20)
      if (!process || batch.length === 0) continue
      const upTo = this.#committed + batch.length
      const settled = await Promise.race([
        process.owner.apply(batch).then(
          () => true,
          () => false,
        ),
        this.time.sleep(20_000).then(() => false),
      ])
      // The commit itself may be lost: then they are applied again.
      if (settled && this.#process === process && !this.random.chance(this.#calm ? 0 : 0.1)) this.#committed = upTo
    }
  }

  #ask(): void {
    const nowMs = this.wallMs
    const person = this.random.chance(0.25)
    const type = this.random.pick(['block', 'block', 'block', 'block', 'release', 'extend', 'allow'] as const)
    const value = this.random.pick([
      '198.51.100.1',
      '198.51.100.2',
      '198.51.100.3',
      '198.51.100.0/24',
      '2001:db8::1',
      '203.0.113.9',
    ])
    const n = this.#made++
    const decision = decisionSchema.parse({
      uid: stableId('decision', n),
      time: nowMs,
      type,
      target: { type: value.includes('/') ? 'network' : 'address', value },
      ttlMs: this.random.int(20_000, 150_000),
      reason: 'simulated',
      ...(person ? {} : { rule: this.random.pick(['scan', 'stuffing']), alertUids: [stableId('alert', n)] }),
      evidenceTimeMs: nowMs,
      receivedMs: nowMs,
      who: person || type !== 'block' ? 'kim' : 'haetae',
      source: person || type !== 'block' ? 'cli' : 'detection',
    })
    this.happened(`ask ${type}`)
    this.decisions.push(decision)
    if (this.random.chance(0.2)) this.decisions.push(decision)
  }

  /** Somebody in the AWS console. */
  #operate(): void {
    const name = this.random.pick(SETS)
    const ours = this.waf
      .addresses(name)
      .map(canonical)
      .filter(cidr => !this.oracle.foreign.has(cidr))
    if (ours.length > 0 && this.random.chance(0.5)) {
      const cidr = this.random.pick(ours)
      this.happened('operator removes')
      this.oracle.removedByOperator(cidr)
      this.waf.edit(name, addresses => addresses.filter(each => canonical(each) !== cidr))
      return
    }
    const cidr = name.endsWith('v6') ? '2001:db8:ffff::/64' : this.random.pick(['192.0.2.77/32', '198.51.100.2/32'])
    if (SETS.some(set => this.waf.addresses(set).map(canonical).includes(cidr))) return
    // What we may have put there, or are about to, cannot be told from what an operator puts there.
    const entries = this.topics.values(ledgerTopics.state) as { cidr?: string }[]
    if (entries.some(entry => entry.cidr === cidr)) return
    this.happened('operator adds')
    this.oracle.addedByOperator(cidr)
    this.waf.edit(name, addresses => [...addresses, cidr])
  }

  #jump(): void {
    this.happened('clock jump')
    this.wallOffMs = this.random.pick([-60 * MINUTE_MS, 0, 60 * MINUTE_MS])
  }

  #fate(): Fate {
    if (this.#calm || !this.random.chance(this.#trouble)) return 'answered'
    const fate = this.random.pick(['throttled', 'internal', 'answer lost', 'request lost'] as const)
    this.happened(fate)
    return fate
  }

  /** The IP sets as one process reaches them: slowly, and never again once it is dead. */
  #watched(life: Life, own: { process?: Process }): WafApi {
    const delayed = async <T>(call: () => Promise<T>): Promise<T> => {
      await this.time.sleep(this.random.int(1, this.#slowMs), life)
      // A request that has left does not know that its sender died or was revoked: sometimes it arrives.
      const fate = this.#fate()
      this.waf.fate = () => fate
      const answer = await call().then(
        value => ({ value }),
        (error: unknown) => ({ error }),
      )
      await this.time.sleep(this.random.int(1, this.#slowMs), life)
      if ('error' in answer) throw answer.error
      return answer.value
    }
    const never = new AbortController().signal
    return {
      listIPSets: input => delayed(() => this.waf.listIPSets(input, never)),
      getIPSet: input => delayed(() => this.waf.getIPSet(input, never)),
      updateIPSet: input => {
        if (own.process?.revoked) this.oracle.violated('a write began after the revocation')
        const held = this.oracle.held()
        return delayed(async () => {
          const before = this.waf.addresses(input.Name).map(canonical)
          try {
            return await this.waf.updateIPSet(input, never)
          } finally {
            this.oracle.wrote(input.Name, before, this.waf.addresses(input.Name).map(canonical), held)
          }
        })
      },
      close: () => undefined,
    }
  }

  #noteIntents(records: Parameters<MemoryTopics['append']>[1]): void {
    for (const { value } of records) {
      const state = JSON.parse(String(value)) as { state?: string; cidr?: string } | null
      if (state?.state === 'placing' && state.cidr) this.oracle.intends(state.cidr)
    }
  }

  #store(life: Life, own: { process?: Process }): LedgerStore {
    const world = this
    const topics = new Proxy(this.topics, {
      get(target, name) {
        if (name === 'append') {
          return async (topic: string, records: Parameters<MemoryTopics['append']>[1]) => {
            if (own.process?.revoked) world.oracle.violated(`an append to ${topic} began after the revocation`)
            await world.time.sleep(world.random.int(0, 10), life)
            const fails = !world.#calm && world.random.chance(world.#trouble / 4)
            target.fate = () => (fails ? world.random.pick(['lost', 'unanswered'] as const) : 'taken')
            const kept = world.plant === 'audit forgotten' && topic === ledgerTopics.audit ? records.slice(1) : records
            if (topic === ledgerTopics.state) world.#noteIntents(kept)
            const answer = await target.append(topic, kept).then(
              value => ({ value }),
              (error: unknown) => ({ error }),
            )
            await world.time.sleep(world.random.int(0, 10), life)
            if ('error' in answer) throw answer.error
            return answer.value
          }
        }
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    return new PlantedStore(topics, ledgerTopics, () => this.wallMs, this.plant)
  }
}

function guarded(): NeverBlock {
  const list = new NeverBlock('unused')
  list.guard = GUARD
  list.reload = () => Promise.resolve(false)
  return list
}

const GUARD = new Guard([{ name: 'office', cidrs: [parseCidr('203.0.113.0/24')!] }])

export function canonical(address: string): string {
  return formatCidr(parseCidr(address)!)
}
