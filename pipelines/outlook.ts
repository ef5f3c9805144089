import { basename } from 'node:path'
import { cidrsOverlap, clientPrefix, parseCidr } from '../platform/address.ts'
import { systemClock } from '../platform/clock.ts'
import { asError } from '../platform/errors.ts'
import type { AuditRecord } from '../platform/response/audit.ts'
import type { Decision } from '../platform/response/decision.ts'
import type { Hold } from '../platform/response/hold.ts'
import { type BlocksConfig, termsOf } from '../response/blocks.ts'
import { applyDecision, isLive, type Judge } from '../response/holds/apply.ts'
import { Budget, spentBy } from '../response/holds/budget.ts'
import type { Guard } from '../response/holds/guard.ts'
import { Ledger } from '../response/holds/ledger.ts'
import { NeverBlock, shippedNeverBlock } from '../response/holds/never-block.ts'
import { disableKey } from '../response/keys/disable.ts'
import { readAudits } from './audits.ts'
import type { Asked } from './explain.ts'
import { shippedPipelines } from './files.ts'
import { type Holdings, readHoldings } from './holds.ts'
import { loadWithStandIns } from './offline.ts'
import type { Settings } from './settings.ts'

const AUDITS_MAX = 5

/** What the response says to one event that asks for something, and what it has done about its target. Nothing is changed by asking. */
export interface Outlook {
  readonly title: string
  readonly once: Asked['once']
  readonly type: Decision['type']
  readonly target: string
  /** `created`, `joined`, `known` (this event has made that hold), or why it is refused; `key_disabled`, `key_refused` for access keys. */
  readonly outcome: string
  readonly detail: string
  /** Of an event that is too old to block anybody: what would have come of it just now. */
  readonly ifNow?: { readonly outcome: string; readonly detail: string }
  readonly dryRun: boolean
  /** Live holds on the target, and those that this event has made. */
  readonly holds: readonly OutlookHold[]
  /** Newest first. */
  readonly audits: readonly AuditRecord[]
}

interface OutlookHold {
  readonly uid: string
  readonly target: string
  readonly state: Hold['state']
  readonly untilMs: number
  readonly who: string
  readonly reason: string
  readonly dryRun: boolean
  /** Each place of IP sets, and how far the change is there: `applied at …`, `being written`, `waits to be written`, `being removed`. */
  readonly waf: readonly string[]
}

/** The ledger as it stands, asked without being changed; `problem` when it cannot be read. */
export class Response {
  readonly #settings: Settings
  readonly #blocks: BlocksConfig
  readonly #neverDisable: readonly string[]
  readonly #guard: Guard
  readonly #holdings: Holdings
  readonly problem: string | undefined

  private constructor(settings: Settings, guard: Guard, holdings: Holdings, problem: string | undefined) {
    this.#settings = settings
    this.#blocks = configOf('block', 'blocks', settings) as BlocksConfig
    this.#neverDisable = (
      configOf('keys', 'keys', settings) as { readonly neverDisable: readonly string[] }
    ).neverDisable
    this.#guard = guard
    this.#holdings = holdings
    this.problem = problem
  }

  /** With the terms of the pipelines `block` and `keys` that come with Haetae, and the ledger of whoever owns it. */
  static async open(settings: Settings): Promise<Response> {
    const list = new NeverBlock(process.env['HAETAE_NEVER_BLOCK'] || shippedNeverBlock)
    await list.load()
    try {
      return new Response(settings, list.guard, await readHoldings(settings), undefined)
    } catch (thrown) {
      return new Response(settings, list.guard, { holds: [], states: [] }, asError(thrown).message)
    }
  }

  async outlook({ title, once, decision }: Asked): Promise<Outlook> {
    const said = decision.type === 'disable_key' ? await this.#key(decision) : this.#block(decision)
    return {
      title,
      once,
      type: decision.type,
      target: decision.target.value,
      ...said,
      dryRun: this.#blocks.blocking === 'off',
      holds: this.#holdsOn(decision),
      audits: await this.#auditsOf(decision),
    }
  }

  #block(decision: Decision): Pick<Outlook, 'outcome' | 'detail' | 'ifNow'> {
    const said = this.#judge(decision)
    if (said.outcome !== 'old_evidence') return said
    return { ...said, ifNow: this.#judge({ ...decision, evidenceTimeMs: systemClock.now() }) }
  }

  /** In a copy of the ledger, by what its owner goes by. */
  #judge(decision: Decision): { readonly outcome: string; readonly detail: string } {
    const nowMs = systemClock.now()
    const ledger = new Ledger()
    for (const hold of this.#holdings.holds) ledger.restore(hold)
    for (const state of this.#holdings.states) ledger.restoreState(state)
    const spent = spentBy(ledger.holds.values(), nowMs, ledger.budget?.resumed?.time)
    const judge: Judge = {
      ledger,
      guard: this.#guard,
      budget: new Budget(this.#blocks.budget, spent),
      terms: termsOf(this.#blocks),
      dryRun: this.#blocks.blocking === 'off',
      nowMs,
      isNews: () => true,
    }
    const outcome = applyDecision(judge, decision)
    const changes = ledger.take()
    const made = changes?.holds.find(({ uid }) => uid === decision.uid)
    if (outcome === 'created' && made) {
      const offence = made.step === 1 ? 'a first offence' : `offence number ${made.step}: it lasts longer`
      return { outcome, detail: `until ${timeOf(made.untilMs)}, ${offence}` }
    }
    if (outcome === 'joined') return { outcome, detail: 'this rule holds it already; the hold lasts no longer for it' }
    if (outcome === 'known') return { outcome, detail: 'this event has made its hold' }
    return { outcome, detail: changes?.audits.find(({ what }) => what === 'hold_refused')?.reason ?? '' }
  }

  /** As a dry run whatever is configured: only IAM knows whose key it is. */
  async #key(decision: Decision): Promise<{ readonly outcome: string; readonly detail: string }> {
    const terms = { neverDisable: this.#neverDisable, api: undefined }
    const { what, skip_reason = '' } = await disableKey(terms, decision, systemClock.now())
    return { outcome: what, detail: skip_reason }
  }

  #holdsOn({ uid, target }: Decision): readonly OutlookHold[] {
    const cidr = parseCidr(target.value)
    const wanted =
      cidr && cidr.address.family === 6 && cidr.prefixLength === 128 ? parseCidr(clientPrefix(cidr.address)) : cidr
    return this.#holdings.holds
      .filter(hold => hold.uid === uid || (isLive(hold) && wanted && cidrsOverlap(parseCidr(hold.cidr)!, wanted)))
      .sort((left, right) => right.createdMs - left.createdMs)
      .map(hold => ({
        uid: hold.uid,
        target: hold.target.value,
        state: hold.state,
        untilMs: hold.untilMs,
        who: hold.who,
        reason: hold.reason,
        dryRun: hold.dryRun,
        waf: this.#wafOf(hold),
      }))
  }

  #wafOf({ cidr, state, applied }: Hold): readonly string[] {
    const words = { placing: 'being written', placed: 'is in', removing: 'being removed from' } as const
    const entries = this.#holdings.states.filter(each => each.type === 'entry' && each.cidr === cidr)
    const said = entries.flatMap(entry => {
      if (entry.type !== 'entry') return []
      const at = applied.find(({ place }) => place === entry.place)
      const since = at ? `, acknowledged at ${timeOf(at.ms)}` : ''
      return [`${words[entry.state]} ${entry.ipSet} (${entry.place})${since}`]
    })
    if (said.length > 0) return said
    if (state === 'active') return ['waits to be written']
    return applied.map(({ place, ms }) => `was in an IP set (${place}) from ${timeOf(ms)} on`)
  }

  async #auditsOf({ uid, target }: Decision): Promise<readonly AuditRecord[]> {
    if (this.problem !== undefined) return []
    const isWanted = (audit: AuditRecord): boolean => audit.decision === uid || audit.target === target.value
    try {
      return await readAudits(this.#settings, { isWanted, sinceMs: 0, limit: AUDITS_MAX })
    } catch {
      // The ledger was read a moment ago: what cannot be read now is said by the next command.
      return []
    }
  }
}

function configOf(pipeline: string, type: string, settings: Settings): unknown {
  const file = shippedPipelines().find(path => basename(path) === `${pipeline}.yaml`)!
  return loadWithStandIns(file, settings).pipeline.sinks.find(({ spec }) => spec.type === type)!.config
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
