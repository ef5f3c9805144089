import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Incident } from '../../../platform/incident.ts'
import { alertFacts } from '../../../response/incidents/alert.ts'
import { auditFacts } from '../../../response/incidents/audit.ts'
import type { Blocked } from '../../../response/incidents/blocked.ts'
import { IncidentBook } from '../../../response/incidents/book.ts'
import { alertBody, auditBody, NOON } from '../../support/alerts.ts'
import { grouping } from '../../support/incident-book.ts'

const MINUTE = 60_000
/** A hold as the ledger has it: it may go on after it was suspended, and ends once. */
interface Hold {
  readonly uid: string
  readonly address: number
  state: 'active' | 'suspended' | 'ended'
  until: number
  written: boolean
}

/** What the ledger may do to one hold in each of its states. */
const deeds = ['extend', 'suspend', 'release', 'expire', 'write'] as const
const step = fc.oneof(
  fc.record({ do: fc.constant('create' as const), address: fc.integer({ min: 1, max: 6 }), until: fc.nat(9_999) }),
  fc.record({ do: fc.constantFrom(...deeds), at: fc.nat(30), until: fc.nat(9_999) }),
  fc.record({
    do: fc.constantFrom('restart' as const, 'alert' as const, 'rest' as const),
    address: fc.integer({ min: 1, max: 6 }),
  }),
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** A book, the ledger beside it, and what the book has told the outside. */
class World {
  readonly holds: Hold[] = []
  readonly incidents = new Map<string, Incident>()
  readonly blocked = new Map<string, Blocked>()
  readonly #technique: (address: number) => string
  #book = this.#open()
  #nowMs = NOON

  /** `technique`: what an address does; all the same is one campaign, each its own is an incident for each address. */
  constructor(technique: (address: number) => string) {
    this.#technique = technique
    for (let address = 1; address <= 6; address++) this.#alert(address)
    this.#take()
  }

  do(each: Step): void {
    this.#nowMs += 1_000
    if (each.do === 'create') {
      const { address, until } = each
      const hold: Hold = { uid: `h${this.holds.length}`, address, state: 'active', until, written: false }
      this.holds.push(hold)
      this.#tell('hold_created', hold)
    } else if (each.do === 'alert') this.#alert(each.address)
    else if (each.do === 'restart') this.#book = this.#open()
    else if (each.do === 'rest') {
      this.#nowMs += 11 * MINUTE
      this.#book.pass(this.#nowMs)
    } else if ('at' in each) {
      const hold = this.holds[each.at % Math.max(1, this.holds.length)]
      if (hold && hold.state !== 'ended') this.#deed(each.do, hold, each.until)
    }
    this.#take()
  }

  get counted(): Incident[] {
    return [...this.incidents.values()].filter(({ merged_into }) => merged_into === undefined)
  }

  #open(): IncidentBook {
    const known = {
      incidents: structuredClone([...this.incidents.values()]),
      blocked: this.blocked.values(),
      number: 0,
    }
    return new IncidentBook(grouping, known)
  }

  #take(): void {
    for (const { uid, record } of this.#book.take()) put(this.incidents, uid, record)
    for (const { key, record } of this.#book.takeBlocked()) put(this.blocked, key, record)
  }

  #alert(address: number): void {
    const given = { address: `192.0.2.${address}`, technique: this.#technique(address), timeMs: this.#nowMs }
    this.#book.alert(alertFacts(alertBody(given))!, this.#nowMs)
  }

  #tell(what: string, { uid, address, until }: Hold): void {
    const given = { hold: uid, target: `192.0.2.${address}`, until_ms: NOON + until, latency_ms: 7 }
    this.#book.audit(auditFacts(auditBody(what, given))!, this.#nowMs)
  }

  #deed(what: (typeof deeds)[number], hold: Hold, until: number): void {
    if (what === 'extend') {
      hold.state = 'active'
      hold.until = Math.max(hold.until, until)
      this.#tell('hold_extended', hold)
    } else if (what === 'suspend') {
      if (hold.state !== 'active') return
      hold.state = 'suspended'
      this.#tell('hold_suspended', hold)
    } else if (what === 'write') {
      if (hold.state !== 'active') return
      hold.written = true
      this.#tell('waf_written', hold)
    } else {
      hold.state = 'ended'
      this.#tell(what === 'release' ? 'hold_released' : 'hold_expired', hold)
    }
  }
}

function put<T>(map: Map<string, T>, key: string, record: T | undefined): void {
  if (record) map.set(key, record)
  else map.delete(key)
}

function play(steps: readonly Step[], technique: (address: number) => string): World {
  const world = new World(technique)
  for (const each of steps) world.do(each)
  return world
}

const addressesOf = (holds: readonly Hold[]): number => new Set(holds.map(({ address }) => address)).size

describe('how many addresses are blocked', () => {
  test('is what the ledger would say, for any history of holds, in a campaign and over restarts', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const { holds, counted } = play(
          steps.filter(each => each.do !== 'rest'),
          () => 'T1110',
        )
        const [{ holds: said }] = counted.slice(-1) as [Incident]
        const active = holds.filter(({ state }) => state === 'active')
        const written = new Set(active.filter(each => each.written).map(({ address }) => address))
        expect(counted).toHaveLength(1)
        expect(said.active).toBe(addressesOf(active))
        expect(said.total).toBe(addressesOf(holds))
        expect(said.waiting ?? 0).toBe(addressesOf(active) - written.size)
        expect(said.targets ?? []).toHaveLength(addressesOf(active))
        expect(said.until).toBe(active.length === 0 ? undefined : NOON + Math.max(...active.map(({ until }) => until)))
      }),
      { numRuns: 500 },
    )
  })

  test('is counted once, in the incident that goes on, when an address comes back while it is blocked', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const { holds, counted } = play(steps, address => `T${1000 + address}`)
        const active = holds.filter(({ state }) => state === 'active')
        expect(counted.reduce((sum, { holds: { active: each } }) => sum + each, 0)).toBe(addressesOf(active))
        for (const { holds: said } of counted) expect(said.total).toBeLessThanOrEqual(1)
      }),
      { numRuns: 500 },
    )
  })

  test('a hold that was suspended and then ends is taken away once', () => {
    const history = [
      { do: 'create', address: 1, until: 5 },
      { do: 'create', address: 2, until: 9 },
      { do: 'suspend', at: 0, until: 0 },
      { do: 'expire', at: 0, until: 0 },
    ] as const
    const { counted } = play(history, () => 'T1110')
    expect(counted).toMatchObject([{ holds: { active: 1, total: 2, until: NOON + 9 } }])
  })

  test('two rules that hold one address block one address, until the last of them ends', () => {
    const history = [
      { do: 'create', address: 1, until: 5 },
      { do: 'create', address: 1, until: 9 },
      { do: 'expire', at: 0, until: 0 },
    ] as const
    expect(play(history, () => 'T1110').counted).toMatchObject([{ holds: { active: 1, total: 1, until: NOON + 9 } }])
    const over = [...history, { do: 'expire', at: 1, until: 0 }] as const
    expect(play(over, () => 'T1110').counted).toMatchObject([{ holds: { active: 0, total: 1 } }])
  })
})
