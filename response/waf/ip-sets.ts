import { formatCidr, parseCidr } from '../../platform/address.ts'
import type { Clock } from '../../platform/clock.ts'
import { ADDRESSES_MAX, type IpVersion, LIST_LIMIT, READ_EVERY_MS, type Scope, type WafApi } from './api.ts'
import { Pace } from './pace.ts'

/** An IP set as it was last read or written. */
export interface SetView {
  readonly id: string
  readonly name: string
  readonly version: IpVersion
  readonly description: string | undefined
  readonly token: string
  /** Canonical text → as AWS writes it. */
  readonly addresses: ReadonlyMap<string, string>
}

/** Tokens of states that we have replaced: an answer that still shows one is an old one. */
const SUPERSEDED_MAX = 64

export function roomIn({ addresses }: SetView): number {
  return ADDRESSES_MAX - addresses.size
}

/**
 * The IP sets of one scope and Region whose names begin with `prefix`, in the order of their names. Foreign entries are kept in
 * every write, and so is the description, which an update without it would clear.
 */
export class IpSets {
  readonly place: string
  readonly #api: WafApi
  readonly #scope: Scope
  readonly #prefix: string
  readonly #clock: Clock
  readonly #reads: Pace
  readonly #sets = new Map<string, SetView>()
  readonly #superseded = new Map<string, string[]>()
  #readMs: number | undefined

  constructor(options: {
    readonly api: WafApi
    readonly scope: Scope
    readonly region: string
    readonly prefix: string
    readonly clock: Clock
    readonly reads?: Pace
  }) {
    this.place = `${options.scope.toLowerCase()}/${options.region}`
    this.#api = options.api
    this.#scope = options.scope
    this.#prefix = options.prefix
    this.#clock = options.clock
    this.#reads = options.reads ?? new Pace(READ_EVERY_MS * 1.05, options.clock)
  }

  get sets(): readonly SetView[] {
    return [...this.#sets.values()]
  }

  /** Since all sets were read, monotonic; undefined before, and after `doubt`. */
  get ageMs(): number | undefined {
    return this.#readMs === undefined ? undefined : this.#clock.monotonicMs() - this.#readMs
  }

  /** What is known may be wrong: an answer was lost. */
  doubt(): void {
    this.#readMs = undefined
  }

  /** Reads the list and every set. Throws what the API throws, and then keeps what it had. */
  async refresh(signal: AbortSignal): Promise<void> {
    const found: { readonly Name: string; readonly Id: string }[] = []
    for (let marker: string | undefined; ; ) {
      await this.#reads.turn(signal)
      const next = marker === undefined ? {} : { NextMarker: marker }
      const page = await this.#api.listIPSets({ Scope: this.#scope, Limit: LIST_LIMIT, ...next }, signal)
      found.push(...page.IPSets.filter(({ Name }) => Name.startsWith(this.#prefix)))
      marker = page.NextMarker
      if (marker === undefined || page.IPSets.length === 0) break
    }
    found.sort((left, right) => (left.Name < right.Name ? -1 : 1))
    const read: SetView[] = []
    for (const { Name, Id } of found) read.push(await this.#get(Name, Id, signal))
    this.#sets.clear()
    for (const set of read) this.#sets.set(set.id, set)
    this.#readMs = this.#clock.monotonicMs()
  }

  /** Reads one set again, after somebody else changed it. */
  async reread({ id, name }: SetView, signal: AbortSignal): Promise<void> {
    this.#sets.set(id, await this.#get(name, id, signal))
  }

  /** Writes the set as it is known, with and without these; resolves when AWS acknowledged it. Throws what the API throws. */
  async write(
    set: SetView,
    { add, remove }: { readonly add: readonly string[]; readonly remove: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    const addresses = new Map(set.addresses)
    for (const cidr of remove) addresses.delete(cidr)
    for (const cidr of add) if (!addresses.has(cidr)) addresses.set(cidr, cidr)
    const { NextLockToken } = await this.#api.updateIPSet(
      {
        Name: set.name,
        Scope: this.#scope,
        Id: set.id,
        Addresses: [...addresses.values()],
        LockToken: set.token,
        ...(set.description === undefined ? {} : { Description: set.description }),
      },
      signal,
    )
    const superseded = [...(this.#superseded.get(set.id) ?? []), set.token].slice(-SUPERSEDED_MAX)
    this.#superseded.set(set.id, superseded)
    this.#sets.set(set.id, { ...set, addresses, token: NextLockToken })
  }

  close(): void {
    this.#api.close()
  }

  async #get(name: string, id: string, signal: AbortSignal): Promise<SetView> {
    await this.#reads.turn(signal)
    const { IPSet: set, LockToken: token } = await this.#api.getIPSet(
      { Name: name, Scope: this.#scope, Id: id },
      signal,
    )
    if (this.#superseded.get(id)?.includes(token)) {
      throw new Error(`${name} was answered as it was before our last write`)
    }
    const addresses = new Map(set.Addresses.map(address => [canonical(address), address]))
    return { id, name, version: set.IPAddressVersion, description: set.Description, token, addresses }
  }
}

/** One text for one network, however it was written; what cannot be read stays as it is. */
function canonical(address: string): string {
  const cidr = parseCidr(address)
  return cidr ? formatCidr(cidr) : address
}
