import { cidrsOverlap, parseCidr } from '../../../platform/address.ts'
import type { Hold } from '../../../platform/response/hold.ts'
import { auditOfChange, targetOf } from '../../../response/holds/audits.ts'
import { LedgerStore } from '../../../response/holds/store.ts'
import { ledgerTopics } from '../../support/owner.ts'
import { canonical, SETS, type World } from './world.ts'

/** The sets are read every 30 s, slowly, and again after errors. */
const LOOK_MS = 60_000

/** Knows what must hold, whatever befell the world. */
export class Oracle {
  readonly violations: string[] = []
  /** Put into the IP sets by an operator. */
  readonly foreign = new Set<string>()
  /** Put there by an operator while we were about to: nobody can tell whose it is. */
  readonly #anybodys = new Set<string>()
  readonly #foreignMs = new Map<string, number>()
  /** Networks that an operator removed after their placing was known to be acknowledged, until when they must stay out. */
  readonly #mustStayOut = new Map<string, { readonly untilMs: number; readonly decisions: number }>()
  #added: { readonly cidr: string }[] = []
  readonly #removed: { readonly cidr: string }[] = []
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  violated(what: string): void {
    this.violations.push(`${this.#world.time.nowMs % 1e9} ${what}`)
  }

  addedByOperator(cidr: string): void {
    this.foreign.add(cidr)
    this.#foreignMs.set(cidr, this.#world.time.nowMs)
  }

  /** Before the next look at the IP sets nobody can know that an operator has put there what we are about to put there. */
  intends(cidr: string): void {
    if (this.#world.time.nowMs - (this.#foreignMs.get(cidr) ?? 0) < LOOK_MS && this.foreign.delete(cidr))
      this.#anybodys.add(cidr)
  }

  removedByOperator(cidr: string): void {
    const { topics, decisions } = this.#world
    const states = topics.values(ledgerTopics.state) as { type: string; cidr?: string; state?: string }[]
    if (!states.some(each => each.type === 'entry' && each.cidr === cidr && each.state === 'placed')) {
      // Come and gone before any owner could see it.
      this.#added = this.#added.filter(each => each.cidr !== cidr)
      return
    }
    const untilMs = Math.max(0, ...this.#active(cidr).map(hold => hold.untilMs))
    this.#mustStayOut.set(cidr, { untilMs, decisions: decisions.length })
  }

  /** One update of ours came through. */
  wrote(name: string, before: readonly string[], after: readonly string[], heldAtStart: ReadonlySet<string>): void {
    const { wallMs, decisions } = this.#world
    for (const cidr of after.filter(each => !before.includes(each))) {
      this.#added.push({ cidr })
      if (cidrsOverlap(parseCidr('203.0.113.0/24')!, parseCidr(cidr)!))
        this.violated(`${cidr} is guarded and was blocked`)
      const out = this.#mustStayOut.get(cidr)
      const asked = decisions.slice(out?.decisions).some(each => each.source !== 'detection' && each.type !== 'release')
      if (out && wallMs < out.untilMs && !asked && !this.#isReleased(cidr)) {
        this.violated(`${cidr} was removed by an operator and came back into ${name}`)
      }
    }
    for (const cidr of before.filter(each => !after.includes(each))) {
      this.#removed.push({ cidr })
      if (this.foreign.has(cidr)) this.violated(`${cidr} is an operator's and was removed from ${name}`)
      if (heldAtStart.has(cidr) && this.#active(cidr).some(({ untilMs }) => untilMs > wallMs))
        this.violated(`${cidr} is held and was removed from ${name}`)
    }
    if (this.#world.waf.descriptionOf(name) !== 'made by an operator') this.violated(`${name} lost its description`)
  }

  /** Networks that are held as far as is durable. */
  held(): ReadonlySet<string> {
    return new Set(
      this.#holds()
        .filter(({ state }) => state === 'active')
        .map(({ cidr }) => cidr),
    )
  }

  /** `pass` lets some time pass: a hold may have ended this very moment. */
  async settled(pass: () => Promise<void>): Promise<void> {
    for (let tries = 0; tries < 10 && (await this.#differences()).length > 0; tries++) await pass()
    for (const difference of await this.#differences()) this.violated(difference)
    this.#isTold()
    this.#isDecided()
  }

  async over(): Promise<void> {
    for (const difference of await this.#differences()) this.violated(difference)
    const left = this.#there().filter(cidr => !this.foreign.has(cidr) && !this.#anybodys.has(cidr))
    if (left.length > 0) this.violated(`left behind: ${left.join(', ')}`)
    this.#isTold()
    const audits = this.#world.audits
    for (const [what, changes] of [
      ['waf_written', this.#added],
      ['waf_removed', this.#removed],
    ] as const) {
      const told = new Set(audits.filter(each => each.what === what).map(({ target }) => target))
      const untold = changes.filter(({ cidr }) => !told.has(targetOf(cidr)))
      if (untold.length > 0) this.violated(`${what} is not told of ${untold[0]!.cidr}`)
    }
  }

  #there(): string[] {
    return SETS.flatMap(name => this.#world.waf.addresses(name).map(canonical))
  }

  /** Between IP sets and ledger. */
  async #differences(): Promise<readonly string[]> {
    const ledger = await new LedgerStore(this.#world.topics, ledgerTopics, () => 0).load()
    const wanted = ledger.wanted(false)
    const there = this.#there()
    const isForeign = (cidr: string): boolean => this.foreign.has(cidr) || this.#anybodys.has(cidr)
    return [
      ...(new Set(there).size < there.length ? ['a network stands in two sets'] : []),
      ...[...wanted].filter(cidr => !there.includes(cidr)).map(cidr => `${cidr} is held and not blocked`),
      ...there.filter(cidr => !wanted.has(cidr) && !isForeign(cidr)).map(cidr => `${cidr} is blocked and not held`),
      ...[...this.foreign].filter(cidr => !there.includes(cidr)).map(cidr => `${cidr} is an operator's and gone`),
    ]
  }

  /** Every change of every hold has its audit record; a hold was created once. */
  #isTold(): void {
    const uids = new Set(this.#world.audits.map(({ metadata }) => metadata.uid))
    const created = new Map<string, Set<string>>()
    for (const audit of this.#world.audits.filter(({ what }) => what === 'hold_created')) {
      created.set(audit.hold!, (created.get(audit.hold!) ?? new Set()).add(audit.metadata.uid))
    }
    for (const [hold, names] of created)
      if (names.size > 1) this.violated(`the hold ${hold} was created ${names.size} times`)
    for (const hold of this.#holds()) {
      for (const change of hold.history) {
        if (!uids.has(auditOfChange(hold, change).metadata.uid))
          this.violated(`${hold.cidr}: ${change.what} is not told`)
      }
    }
  }

  /** Every request has left its mark. */
  #isDecided(): void {
    const holds = this.#holds()
    const told = new Set(
      this.#world.audits.map(({ decision, target, skip_reason }) => decision ?? `${skip_reason} ${target}`),
    )
    const refused = new Set(
      this.#world.audits.filter(({ what }) => what === 'hold_refused').map(({ target }) => target),
    )
    for (const { uid, rule, target, source } of this.#world.decisions) {
      if (told.has(uid)) continue
      const isJoined = holds.some(hold => hold.rule === rule)
      // A refusal that is told again and again is told once.
      if (source === 'detection' && (isJoined || refused.has(target.value))) continue
      if (source !== 'detection') this.violated(`the request ${uid} for ${target.value} left no mark`)
    }
  }

  #holds(): readonly Hold[] {
    return this.#world.topics.values(ledgerTopics.holds) as Hold[]
  }

  #active(cidr: string): readonly Hold[] {
    return this.#holds().filter(hold => hold.cidr === cidr && hold.state === 'active')
  }

  /** A person released what was suspended: then the network may come back. */
  #isReleased(cidr: string): boolean {
    return this.#holds().some(hold => hold.cidr === cidr && hold.state === 'released')
  }
}
