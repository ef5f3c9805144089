import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generateWaf } from '../../../bench/generate.ts'
import { scanAny, scanJson, scanned } from '../../../platform/json/scan.ts'
import { KERNEL_BYTES_MAX, NOT_SCANNED, scanFast } from '../../../platform/json/scan-kernel.ts'
import { kernels, moduleText } from './build-kernel.ts'

const DEPTH_MAX = 64
const KEYS_MAX = 2_000

interface Scan {
  readonly tape: readonly number[]
  readonly wide: boolean
}

function byKernel(bytes: Uint8Array, base = 0): Scan | undefined {
  const tape = new Int32Array(base + 2 * (bytes.length + 1))
  const found = scanFast(bytes, tape, base, DEPTH_MAX, KEYS_MAX)
  if (found === NOT_SCANNED) return undefined
  return { tape: [...tape.subarray(base, base + (found >> 1))], wide: (found & 1) === 1 }
}

/** A text that is refused gives its reason. */
function byScript(bytes: Uint8Array, base = 0): (Scan & { readonly spaced: boolean }) | string {
  const tape = new Int32Array(base + 2 * (bytes.length + 1))
  const fault = scanAny(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), tape, base)
  if (fault !== undefined) return fault
  return { tape: [...tape.subarray(base, scanned.end)], wide: scanned.wide, spaced: scanned.spaced }
}

/** What the kernel takes is what the script takes, entry by entry, and nothing else. */
function expectAgreement(bytes: Uint8Array, base = 0): void {
  const fast = byKernel(bytes, base)
  if (!fast) return
  const slow = byScript(bytes, base)
  expect(slow).toMatchObject({ tape: fast.tape, spaced: false })
  // A byte over 0x7f may be seen where there is none in a string; never the other way round.
  if (typeof slow !== 'string' && slow.wide) expect(fast.wide).toBe(true)
}

const texts = fc.oneof(
  fc.json({ maxDepth: 6 }),
  fc.json({ maxDepth: 4, stringUnit: 'binary' }),
  fc
    .array(fc.constantFrom(...'[]{},:"\\u0/1e.-tnf a'.split(''), 'true', 'null', '"a":', '{"k":[', '\n', 'é'))
    .map(all => all.join('')),
)

test.each(kernels)('the module %s is what its source says: npm run kernel', async name => {
  const made = new URL(`../../../platform/json/${name}-module.ts`, import.meta.url)
  expect(readFileSync(made, 'utf8')).toBe(await moduleText(name))
})

test('the kernel and the script write the same tape, from any base on', () => {
  fc.assert(
    fc.property(texts, fc.nat({ max: 50 }), (text, half) => expectAgreement(Buffer.from(text), 2 * half)),
    { numRuns: 2_000 },
  )
})

test('the kernel takes every record of plain parts, and nothing of a damaged one that the script would refuse', () => {
  const records = [...generateWaf({ seed: 7, count: 60, startMs: 1_795_359_600_000, durationMs: 1_000 })]
  for (const record of records) {
    expectAgreement(Buffer.from(record))
    expect(record.includes('\\u') || byKernel(Buffer.from(record)) !== undefined).toBe(true)
  }
  const damage = fc.record({ at: fc.nat(), cut: fc.boolean(), byte: fc.nat({ max: 255 }) })
  fc.assert(
    fc.property(fc.constantFrom(...records), damage, (record, { at, cut, byte }) => {
      const bytes = Buffer.from(record)
      const place = at % bytes.length
      if (!cut) bytes[place] = byte
      expectAgreement(cut ? bytes.subarray(0, place) : bytes)
    }),
    { numRuns: 1_500 },
  )
})

test('what an earlier text left in the memory is never read as part of a later one', () => {
  const long = `{"a":[${'"x",'.repeat(200)}true,false,null,12]}`
  for (let cut = 0; cut < long.length; cut++) {
    expect(byKernel(Buffer.from(long))).toBeDefined()
    expect(byKernel(Buffer.from(long.slice(0, cut)))).toBeUndefined()
  }
})

test('a string may end at any place of a block, and a backslash stand at any', () => {
  for (let length = 0; length < 70; length++) {
    for (const text of [
      'x'.repeat(length),
      `${'x'.repeat(length)}\\"`,
      `${'x'.repeat(length)}é`,
      '\\\\'.repeat(length),
    ]) {
      const bytes = Buffer.from(`{"k":"${text}","l":["${text}"]}`)
      const slow = byScript(bytes) as Scan
      expect(byKernel(bytes)).toMatchObject({ tape: slow.tape })
    }
  }
})

test('depth and number of keys have their bounds, and the script says which was passed', () => {
  const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
  const keyed = (keys: number): Buffer => Buffer.from(`{${Array.from({ length: keys }, () => '"":0').join(',')}}`)
  for (const [least, most] of [
    [nested(DEPTH_MAX), nested(DEPTH_MAX + 1)],
    [keyed(KEYS_MAX), keyed(KEYS_MAX + 1)],
  ] as const) {
    expect(byKernel(least)).toMatchObject({ tape: (byScript(least) as Scan).tape })
    expect(byKernel(most)).toBeUndefined()
    expect(byScript(most)).toMatch(/^too_/)
  }
})

test('the longest text the kernel is given has room for its tape, and a longer one is scanned all the same', () => {
  for (const length of [KERNEL_BYTES_MAX, KERNEL_BYTES_MAX + 2]) {
    // Nothing has more entries than brackets and digits side by side.
    const bytes = Buffer.from(`[${'0,'.repeat((length - 4) / 2)}[]]`.padEnd(length, ' ').trimEnd())
    const tape = new Int32Array(2 * (bytes.length + 1))
    expect(scanJson(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), tape, 0)).toBeUndefined()
    expect(scanned.end).toBe(2 * ((length - 4) / 2 + 4))
  }
})

test('of any text scanJson says what JSON.parse says', () => {
  fc.assert(
    fc.property(texts, text => {
      const bytes = Buffer.from(text)
      const tape = new Int32Array(2 * (bytes.length + 1))
      const fault = scanJson(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), tape, 0)
      let parses = true
      try {
        JSON.parse(text)
      } catch {
        parses = false
      }
      expect(fault === undefined).toBe(parses)
    }),
    { numRuns: 2_000 },
  )
})
