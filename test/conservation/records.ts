import { recordId } from '../../engine/event.ts'
import { Random } from '../support/random.ts'

/** 'event': becomes an event. 'letter': is JSON and no WAF record, so it belongs in the dead letters. */
type Fate = 'event' | 'letter'

/** What must be found again of an event, wherever it is stored. */
export interface Facts {
  readonly name: string
  readonly path: string
  readonly address: string
  readonly timeMs: number
  readonly padding: string
}

export interface Issued {
  readonly id: string
  readonly raw: Buffer
  readonly fate: Fate
  readonly facts: Facts
  /** Somebody was told that it is durable. */
  acknowledged: boolean
}

/** Letters of every so manieth record. */
const LETTER_EVERY = 40
const PADDING_HEADER = 'X-Padding'
/** Most are small; a few are larger than a request to a partition may be on its own behind others. */
const paddingChars = [0, 1, 40, 200, 200, 1_000, 1_000, 4_000]
const LARGE_EVERY = 700
const LARGE_CHARS = 300_000

/** Every record that was made, and whether it was acknowledged. The same seed makes the same records, but for their times. */
export class Ledger {
  readonly byId = new Map<string, Issued>()
  readonly #name: string
  readonly #random: Random
  #count = 0

  constructor(name: string, seed: number) {
    this.#name = name
    this.#random = new Random(seed)
  }

  issue(): Issued {
    const n = this.#count++
    const facts = factsOf(`${this.#name}-${n}`, n, this.#random)
    const fate = n % LETTER_EVERY === LETTER_EVERY - 1 ? 'letter' : 'event'
    const raw = Buffer.from(JSON.stringify(fate === 'event' ? wafRecord(facts) : { hello: facts.name }))
    const issued: Issued = { id: recordId(raw), raw, fate, facts, acknowledged: false }
    this.byId.set(issued.id, issued)
    return issued
  }
}

function factsOf(name: string, n: number, random: Random): Facts {
  const chars = n % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE_CHARS : random.pick(paddingChars)
  return {
    name,
    path: `/products/${random.int(1, 1e9)}`,
    address: `198.51.${random.int(0, 255)}.${random.int(1, 254)}`,
    timeMs: Date.now(),
    padding: String.fromCodePoint(97 + random.int(0, 25)).repeat(chars),
  }
}

function wafRecord({ name, path, address, timeMs, padding }: Facts): object {
  return {
    timestamp: timeMs,
    formatVersion: 1,
    webaclId: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop/11111111-2222-3333-4444-555555555555',
    terminatingRuleId: 'Default_Action',
    terminatingRuleType: 'REGULAR',
    action: 'ALLOW',
    httpSourceName: 'ALB',
    httpSourceId: '123456789012-app/shop/50dc6c495c0c9188',
    httpRequest: {
      clientIp: address,
      country: 'KR',
      headers: [
        { name: 'Host', value: 'shop.example' },
        { name: PADDING_HEADER, value: padding },
      ],
      uri: path,
      args: '',
      httpVersion: 'HTTP/2.0',
      httpMethod: 'GET',
      requestId: name,
    },
  }
}

interface StoredHeader {
  readonly name: string
  readonly value: string
}

/** An event as OCSF stores it, as far as it is compared. */
export interface StoredEvent {
  readonly time: number | string
  readonly src_endpoint: { readonly ip: string }
  readonly http_request: {
    readonly uid: string
    readonly url: { readonly path: string }
    readonly http_headers: readonly StoredHeader[]
  }
}

export function factsStored({ time, src_endpoint, http_request }: StoredEvent): Facts {
  const padding = http_request.http_headers.find(({ name }) => name === PADDING_HEADER)?.value ?? 'no such header'
  const { uid: name, url } = http_request
  return { name, path: url.path, address: src_endpoint.ip, timeMs: Number(time), padding }
}
