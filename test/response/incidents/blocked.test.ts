import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Incident } from '../../../platform/incident.ts'
import { alertFacts } from '../../../response/incidents/alert.ts'
import { auditFacts } from '../../../response/incidents/audit.ts'
import type { Blocked } from '../../../response/incidents/blocked.ts'
import { IncidentBook } from '../../../response/incidents/book.ts'
import { alertBody, auditBody, NOON } from '../../support/alerts.ts'

const MINUTE = 60_000
const grouping = {
  keepAliveMs: 10 * MINUTE,
  durationMsMax: 360 * MINUTE,
  unseenMsMax: 72 * 60 * MINUTE,
  campaignActors: 5,
  openMax: 1_000,
  closedKeepMs: 24 * 60 * MINUTE,
  closedMax: 1_000,
}

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

/** `technique`: what an address does; all the same is one campaign, each its own is an incident for each address. */
function play(steps: readonly Step[], technique: (address: number) => string) {
  let nowMs = NOON
  let state: { incidents: Map<string, Incident>; blocked: Map<string, Blocked> } = {
    incidents: new Map(),
    blocked: new Map(),
  }
  const open = () =>
    new IncidentBook(grouping, { incidents: state.incidents.values(), blocked: state.blocked.values(), number: 0 })
  let book = open()
  const holds: Hold[] = []
  const take = (): void => {
    for (const { uid, record } of book.take()) {
      if (record) state.incidents.set(uid, record)
      else state.incidents.delete(uid)
    }
    for (const { key, record } of book.takeBlocked()) {
      if (record) state.blocked.set(key, record)
      else state.blocked.delete(key)
    }
  }
  const alert = (address: number): void => {
    book.alert(
      alertFacts(alertBody({ address: `192.0.2.${address}`, technique: technique(address), timeMs: nowMs }))!,
      nowMs,
    )
  }
  const tell = (what: string, { uid, address, until }: Hold): void => {
    book.audit(
      auditFacts(auditBody(what, { hold: uid, target: `192.0.2.${address}`, until_ms: NOON + until, latency_ms: 7 }))!,
      nowMs,
    )
  }
  for (let address = 1; address <= 6; address++) alert(address)
  take()
  for (const each of steps) {
    nowMs += 1_000
    if (each.do === 'create') {
      const hold: Hold = {
        uid: `h${holds.length}`,
        address: each.address,
        state: 'active',
        until: each.until,
        written: false,
      }
      holds.push(hold)
      tell('hold_created', hold)
    } else if (each.do === 'alert') alert(each.address)
    else if (each.do === 'rest') {
      nowMs += 11 * MINUTE
      book.pass(nowMs)
    } else if (each.do === 'restart') {
      state = { incidents: new Map(state.incidents), blocked: new Map(state.blocked) }
      book = open()
    } else if ('at' in each) {
      const hold = holds[each.at % Math.max(1, holds.length)]
      if (hold && hold.state !== 'ended') deed(each.do, hold, each.until)
    }
    take()
  }
  return { holds, counted: [...state.incidents.values()].filter(({ merged_into }) => merged_into === undefined) }

  function deed(what: (typeof deeds)[number], hold: Hold, until: number): void {
    if (what === 'extend') {
      hold.state = 'active'
      hold.until = Math.max(hold.until, until)
      tell('hold_extended', hold)
    } else if (what === 'suspend') {
      if (hold.state !== 'active') return
      hold.state = 'suspended'
      tell('hold_suspended', hold)
    } else if (what === 'write') {
      if (hold.state !== 'active') return
      hold.written = true
      tell('waf_written', hold)
    } else {
      hold.state = 'ended'
      tell(what === 'release' ? 'hold_released' : 'hold_expired', hold)
    }
  }
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
