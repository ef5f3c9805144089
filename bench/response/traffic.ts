/** Traffic that costs its sender little: bodies made once, in which each sending writes new times and request ids. */
import { generateWaf } from '../generate.ts'

const BODIES = 16
const RECORDS = 500
/** Digits of a time in milliseconds. */
const TIME_DIGITS = 13
const SERIAL_DIGITS = 12
const SECRETS = ['/.env', '/.git/config', '/.aws/credentials', '/.git/HEAD', '/.env.production', '/.env.local']

export interface Template {
  readonly records: number
  readonly bytes: Buffer
  /** Where each record has its time, and the end of its request id. */
  readonly places: readonly { readonly time: number; readonly serial: number }[]
}
interface WafRecord {
  readonly httpRequest: Readonly<Record<string, unknown>>
}

let serial = 0

/** Ordinary traffic, without an attack in it. */
export function bodies(): readonly Template[] {
  const options = { seed: 11, count: BODIES * RECORDS, startMs: Date.now(), durationMs: 1_000, attackOdds: 0 }
  const records = [...generateWaf(options)].map(text => marked(JSON.parse(text) as WafRecord))
  return Array.from({ length: BODIES }, (_, n) => template(records.slice(n * RECORDS, (n + 1) * RECORDS)))
}

/** The same records of now: no two of them were ever sent. */
export function stamped({ bytes, places }: Template, nowMs: number): Buffer {
  const copy = Buffer.from(bytes)
  for (const place of places) {
    copy.write(String(nowMs), place.time, TIME_DIGITS, 'latin1')
    copy.write(String(serial++).padStart(SERIAL_DIGITS, '0'), place.serial, SERIAL_DIGITS, 'latin1')
  }
  return copy
}

/** A scan for files that must not be there: a rule of our own blocks who asks for so many. */
export function attackOf(address: string): Buffer {
  const [any] = generateWaf({ seed: 1, count: 1, startMs: Date.now(), durationMs: 1, attackOdds: 0 })
  const record = JSON.parse(any!) as WafRecord
  const lines = SECRETS.map((uri, at) =>
    JSON.stringify({
      ...record,
      timestamp: Date.now() + at,
      action: 'ALLOW',
      terminatingRuleId: 'Default_Action',
      terminatingRuleType: 'REGULAR',
      httpRequest: { ...record.httpRequest, clientIp: address, httpMethod: 'GET', uri, args: '' },
    }),
  )
  return Buffer.from(lines.join('\n'))
}

const TIME = '0'.repeat(TIME_DIGITS)
const SERIAL = '#'.repeat(SERIAL_DIGITS)

function marked(record: WafRecord): string {
  const requestId = `1-00000000-${SERIAL}`
  return JSON.stringify({ ...record, timestamp: 'TIME', httpRequest: { ...record.httpRequest, requestId } }).replace(
    '"TIME"',
    TIME,
  )
}

function template(lines: readonly string[]): Template {
  const bytes = Buffer.from(lines.join('\n'))
  const places: { time: number; serial: number }[] = []
  for (let from = 0; places.length < lines.length; ) {
    const time = bytes.indexOf(TIME, from)
    const end = bytes.indexOf(SERIAL, from)
    places.push({ time, serial: end })
    from = Math.max(time, end) + SERIAL_DIGITS
  }
  return { records: lines.length, bytes, places }
}
