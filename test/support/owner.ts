import { afterEach } from 'vitest'
import { parseCidr } from '../../platform/address.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { AuditRecord } from '../../platform/response/audit.ts'
import { type Decision, type DecisionRequest, decisionSchema } from '../../platform/response/decision.ts'
import type { Hold } from '../../platform/response/hold.ts'
import { stableId } from '../../platform/stable-id.ts'
import type { Terms } from '../../response/holds/apply.ts'
import type { BudgetLimits } from '../../response/holds/budget.ts'
import { Guard } from '../../response/holds/guard.ts'
import { metersOf } from '../../response/holds/meters.ts'
import { NeverBlock } from '../../response/holds/never-block.ts'
import { Owner } from '../../response/holds/owner.ts'
import { LedgerStore } from '../../response/holds/store.ts'
import { FakeWaf } from '../../response/waf/fake.ts'
import { IpSets } from '../../response/waf/ip-sets.ts'
import { Pace } from '../../response/waf/pace.ts'
import { FakeClock } from './clock.ts'
import { MemoryTopics } from './memory-topics.ts'

export const ledgerTopics = { holds: 'holds', state: 'holds.state', audit: 'audit' }
const MINUTE_MS = 60_000

export const terms: Terms = {
  ttlMs: 60 * MINUTE_MS,
  stepFactor: 4,
  ttlMsMax: 7 * 24 * 60 * MINUTE_MS,
  memoryMs: 7 * 24 * 60 * MINUTE_MS,
  evidenceAgeMsMax: 15 * MINUTE_MS,
  holdsMax: 100_000,
  personTtlMsMax: 30 * 24 * 60 * MINUTE_MS,
}
const wide: BudgetLimits = { minuteMax: 1e6, hourMax: 1e6, networkHourMax: 1e6 }

let made = 0
/** A detection's request to block, made now unless it says otherwise. */
export function blockOf(value: string, nowMs: number, more: Partial<DecisionRequest> = {}): Decision {
  const n = made++
  return decisionSchema.parse({
    uid: stableId('test', n),
    time: nowMs,
    type: 'block',
    target: { type: value.includes('/') ? 'network' : 'address', value },
    reason: 'credential stuffing',
    rule: 'stuffing',
    alertUids: [stableId('alert', n)],
    evidenceTimeMs: nowMs,
    receivedMs: nowMs,
    who: 'haetae',
    source: 'detection',
    ...more,
  })
}

export const person = { who: 'kim', source: 'cli' } as const

export interface BenchOptions {
  readonly sets?: readonly string[]
  readonly guarded?: readonly string[]
  readonly limits?: Partial<BudgetLimits>
  readonly terms?: Partial<Terms>
  readonly dryRun?: boolean
}

/** An owner of the ledger with everything around it in memory, on a clock that is moved by hand. */
export class OwnerBench {
  readonly clock = new FakeClock()
  readonly topics = new MemoryTopics()
  readonly metrics = createMetrics()
  readonly waf: FakeWaf
  readonly neverBlock: NeverBlock
  readonly #options: BenchOptions
  pausedBy: string | undefined
  asked: string | undefined = undefined
  owner: Owner

  constructor(options: BenchOptions = {}) {
    this.#options = options
    let tokens = 0
    this.waf = new FakeWaf(this.clock, () => `token-${tokens++}`)
    for (const name of options.sets ?? ['haetae-block-v4', 'haetae-block-v6']) {
      this.waf.create(name, name.includes('v6') ? 'IPV6' : 'IPV4', 'REGIONAL', 'made by an operator')
    }
    this.neverBlock = new NeverBlock('unused')
    // Reading takes real time, which a clock moved by hand does not wait for.
    this.neverBlock.reload = () => Promise.resolve(false)
    this.neverBlock.guard = new Guard([
      { name: 'office', cidrs: (options.guarded ?? []).map(each => parseCidr(each)!) },
    ])
    this.owner = this.#newOwner()
    this.owner.start()
  }

  #newOwner(): Owner {
    const { clock, topics, metrics, waf } = this
    const sets = new IpSets({ api: waf, scope: 'REGIONAL', region: 'ap-northeast-2', prefix: 'haetae-block-', clock })
    return new Owner({
      store: new LedgerStore(topics, ledgerTopics, () => clock.now()),
      neverBlock: this.neverBlock,
      limits: { ...wide, ...this.#options.limits },
      terms: { ...terms, ...this.#options.terms },
      dryRun: this.#options.dryRun ?? false,
      places: [{ sets, writes: new Pace(1_050, clock) }],
      clock,
      log: silentLog,
      meters: metersOf({ metrics, pipeline: 'block' }),
      random: () => 0.5,
      paused: reason => {
        this.pausedBy = reason
      },
      asks: question => {
        this.asked = question
      },
    })
  }

  /** The process ends and another begins; what was in memory is gone. */
  async restart(): Promise<void> {
    await this.stop()
    this.owner = this.#newOwner()
    this.owner.start()
  }

  async stop(): Promise<void> {
    const closing = this.owner.close()
    await this.clock.advance(0)
    await closing
  }

  /** Lets time pass until the IP sets had every chance to follow. */
  async settle(ms = 5_000): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) await this.clock.advance(500)
  }

  get holds(): readonly Hold[] {
    return this.topics.values('holds') as Hold[]
  }

  get audits(): readonly AuditRecord[] {
    return this.topics.appended
      .filter(({ topic }) => topic === 'audit')
      .flatMap(({ records }) => records.map(({ value }) => JSON.parse(String(value)) as AuditRecord))
  }

  told(what: AuditRecord['what']): readonly AuditRecord[] {
    return this.audits.filter(audit => audit.what === what)
  }
}

/** Makes benches for the tests of one file, and stops them after each. */
export function benchesOfTests(): (options?: BenchOptions) => OwnerBench {
  const benches: OwnerBench[] = []
  afterEach(async () => {
    for (const each of benches.splice(0)) await each.stop()
  })
  return options => {
    const made = new OwnerBench(options)
    benches.push(made)
    return made
  }
}

/** 10.x is reserved, so from 20.0.0.0 on. */
export const address = (n: number): string => `20.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
/** So many addresses that are to be blocked now. */
export const crowd = (world: OwnerBench, count: number, more: Partial<DecisionRequest> = {}): readonly Decision[] =>
  Array.from({ length: count }, (_, n) => blockOf(address(n), world.clock.now(), more))
