import { randomUUID } from 'node:crypto'
import { type Cidr, formatAddress, formatCidr, parseAddress } from '../../platform/address.ts'
import type { Clock } from '../../platform/clock.ts'
import {
  ADDRESSES_MAX,
  type IpVersion,
  LIST_LIMIT,
  READ_EVERY_MS,
  type Scope,
  type WafApi,
  WRITE_EVERY_MS,
} from './api.ts'

export type Operation = 'list' | 'get' | 'update'
/** What becomes of a call: answered; refused by the service; carried out and its answer lost; lost on its way. */
export type Fate = 'answered' | 'throttled' | 'internal' | 'answer lost' | 'request lost'

interface FakeSet {
  readonly id: string
  readonly name: string
  readonly scope: Scope
  readonly version: IpVersion
  description: string | undefined
  addresses: readonly string[]
  token: string
}

const READS_A_SECOND = 1_000 / READ_EVERY_MS

/**
 * IP sets of one account and Region in memory, as strict as AWS's: lock tokens, 10,000 addresses a set, one family a set, pages,
 * written-out IPv6, one write and five reads a second. For the dry run, and for whoever tests against WAFv2.
 */
export class FakeWaf implements WafApi {
  readonly #clock: Clock
  readonly #sets: FakeSet[] = []
  #lastWriteMs = Number.NEGATIVE_INFINITY
  #readsMs: number[] = []
  /** Asked before each call; may take its time. */
  fate: (operation: Operation, signal: AbortSignal) => Fate | Promise<Fate> = () => 'answered'
  /** Calls that were let in, by operation. */
  readonly calls: Record<Operation, number> = { list: 0, get: 0, update: 0 }
  readonly #newToken: () => string

  constructor(clock: Clock, newToken: () => string = randomUUID) {
    this.#clock = clock
    this.#newToken = newToken
  }

  /** As an operator would make it. */
  create(name: string, version: IpVersion, scope: Scope = 'REGIONAL', description?: string): string {
    const id = this.#newToken()
    this.#sets.push({ id, name, scope, version, description, addresses: [], token: this.#newToken() })
    return id
  }

  delete(name: string, scope: Scope = 'REGIONAL'): void {
    this.#sets.splice(this.#sets.indexOf(this.#named(name, scope)), 1)
  }

  /** What is in it, as AWS would show it. */
  addresses(name: string, scope: Scope = 'REGIONAL'): readonly string[] {
    return this.#named(name, scope).addresses
  }

  descriptionOf(name: string, scope: Scope = 'REGIONAL'): string | undefined {
    return this.#named(name, scope).description
  }

  /** Somebody's edit in the AWS console: outside the quota, but with a new token like any write. */
  edit(name: string, change: (addresses: readonly string[]) => readonly string[], scope: Scope = 'REGIONAL'): void {
    const set = this.#named(name, scope)
    set.addresses = change(set.addresses).map(address => stored(address, set.version))
    set.token = this.#newToken()
  }

  #named(name: string, scope: Scope): FakeSet {
    const set = this.#sets.find(each => each.name === name && each.scope === scope)
    if (!set) throw new Error(`the fake WAF has no IP set ${name} in ${scope}`)
    return set
  }

  listIPSets: WafApi['listIPSets'] = async ({ Scope: scope, Limit, NextMarker }, signal) => {
    return this.#call('list', signal, () => {
      if (Limit < 1 || Limit > LIST_LIMIT) throw failure('WAFInvalidParameterException', `Limit ${Limit}`)
      const sets = this.#sets.filter(set => set.scope === scope)
      const start = NextMarker === undefined ? 0 : sets.findIndex(({ id }) => id === NextMarker) + 1
      const page = sets.slice(start, start + Limit).map(({ id, name }) => ({ Name: name, Id: id }))
      // AWS gives a marker with a full page, even when nothing follows.
      const last = page.length === Limit ? page.at(-1) : undefined
      return { IPSets: page, ...(last ? { NextMarker: last.Id } : {}) }
    })
  }

  getIPSet: WafApi['getIPSet'] = async ({ Name, Scope: scope, Id }, signal) => {
    return this.#call('get', signal, () => {
      const { id, version, description, addresses, token } = this.#existing(Name, scope, Id)
      const said = description === undefined ? {} : { Description: description }
      const IPSet = { Name, Id: id, IPAddressVersion: version, Addresses: addresses, ...said }
      return { IPSet, LockToken: token }
    })
  }

  updateIPSet: WafApi['updateIPSet'] = async (input, signal) => {
    return this.#call('update', signal, () => {
      const set = this.#existing(input.Name, input.Scope, input.Id)
      if (set.token !== input.LockToken) throw failure('WAFOptimisticLockException', 'the token is not the newest')
      const addresses = input.Addresses.map(address => stored(address, set.version))
      if (new Set(addresses).size < addresses.length) throw failure('WAFInvalidParameterException', 'given twice')
      if (addresses.length > ADDRESSES_MAX) throw failure('WAFLimitsExceededException', `${addresses.length} addresses`)
      set.addresses = addresses
      set.description = input.Description
      set.token = this.#newToken()
      return { NextLockToken: set.token }
    })
  }

  close(): void {}

  #existing(name: string, scope: Scope, id: string): FakeSet {
    const set = this.#sets.find(each => each.id === id && each.name === name && each.scope === scope)
    if (!set) throw failure('WAFNonexistentItemException', name)
    return set
  }

  async #call<T>(operation: Operation, signal: AbortSignal, perform: () => T): Promise<T> {
    const fate = await this.fate(operation, signal)
    if (signal.aborted) throw failure('AbortError', 'the request was given up')
    if (fate === 'request lost') throw failure('TimeoutError', 'no answer')
    if (fate === 'internal') throw failure('WAFInternalErrorException', 'a system problem')
    if (fate === 'throttled' || !this.#isWithinQuota(operation)) throw failure('ThrottlingException', 'Rate exceeded')
    this.calls[operation]++
    const answer = perform()
    if (fate === 'answer lost') throw failure('TimeoutError', 'no answer')
    return answer
  }

  #isWithinQuota(operation: Operation): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (operation === 'update') {
      if (nowMs - this.#lastWriteMs < WRITE_EVERY_MS) return false
      this.#lastWriteMs = nowMs
      return true
    }
    this.#readsMs = this.#readsMs.filter(each => nowMs - each < 1_000)
    if (this.#readsMs.length >= READS_A_SECOND) return false
    this.#readsMs.push(nowMs)
    return true
  }
}

function failure(name: string, message: string): Error {
  const error = new Error(message)
  error.name = name
  return error
}

/** As AWS keeps it: bits behind the prefix are cleared, IPv6 is written out. Throws WAFInvalidParameterException. */
function stored(text: string, version: IpVersion): string {
  const [, host = '', digits = ''] = /^([0-9A-Fa-f:.]+)\/(\d{1,3})$/.exec(text) ?? []
  const address = parseAddress(host)
  const family = version === 'IPV4' ? 4 : 6
  const length = Number(digits)
  const isFamily = address?.family === family
  if (!address || !isFamily || length < 1 || length > (family === 4 ? 32 : 128)) {
    throw failure('WAFInvalidParameterException', `${text} is no ${version} CIDR block`)
  }
  const network = networkOf({ address, prefixLength: length })
  return family === 4 ? formatCidr(network) : `${writtenOut(formatAddress(network.address))}/${length}`
}

function networkOf({ address, prefixLength }: Cidr): Cidr {
  const keep = (word: number, bits: number): number => {
    if (bits <= 0) return 0
    return bits >= 32 ? word : (word & ~(0xffffffff >>> bits)) >>> 0
  }
  if (address.family === 4) return { address: { family: 4, value: keep(address.value, prefixLength) }, prefixLength }
  const [a, b, c, d] = address.words
  const bits = (index: number) => prefixLength - index * 32
  const words = [keep(a, bits(0)), keep(b, bits(1)), keep(c, bits(2)), keep(d, bits(3))] as const
  return { address: { family: 6, words }, prefixLength }
}

/** 2001:db8::1 → 2001:0db8:0000:0000:0000:0000:0000:0001 */
function writtenOut(compressed: string): string {
  const [head = '', tail] = compressed.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const left = groups(head)
  const right = groups(tail ?? '')
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].map(group => group.padStart(4, '0')).join(':')
}
