import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { generateWaf, sampleOptions, samplePath } from '../../bench/generate.ts'
import { SAMPLE_LABEL, sampleRecords } from '../../pipelines/sample.ts'

interface Sampled {
  timestamp: number
  action: string
  labels: { name: string }[]
}

const NOW_MS = Date.UTC(2027, 2, 14, 9, 26, 53)
const bundled = gunzipSync(readFileSync(samplePath)).toString()

describe('the bundled sample', () => {
  it('is what the generator makes of its options, byte for byte', () => {
    // Unpacked, as the packed bytes depend on the zlib that packed them.
    const made = [...generateWaf(sampleOptions)].map(record => `${record}\n`).join('')
    expect(made === bundled).toBe(true)
  })

  it('stays small enough for the repository', () => {
    expect(readFileSync(samplePath).length).toBeLessThan(1_150_000)
  })
})

describe('the replayed sample', () => {
  const records: Sampled[] = []
  const originals = bundled
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Sampled & { labels?: { name: string }[] })
  beforeAll(async () => {
    for await (const record of sampleRecords(NOW_MS)) records.push(JSON.parse(record.toString()) as Sampled)
  })

  it('is one whole day that ends now', () => {
    const times = records.map(record => record.timestamp)
    expect(Math.max(...times)).toBe(NOW_MS)
    expect(NOW_MS - Math.min(...times)).toBeGreaterThan(0.99 * 86_400_000)
    expect(NOW_MS - Math.min(...times)).toBeLessThanOrEqual(86_400_000)
  })

  it('says in each record that it is the sample', () => {
    expect(records.filter(record => !record.labels.some(label => label.name === SAMPLE_LABEL))).toEqual([])
  })

  it('changes nothing but time and label, in the order of the file', () => {
    const restored = records.map((record, index) => {
      const original = originals[index]!
      const labels = record.labels.filter(label => label.name !== SAMPLE_LABEL)
      const { labels: _, ...rest } = record
      return { ...rest, timestamp: original.timestamp, ...(original.labels ? { labels } : {}) }
    })
    expect(restored.length).toBe(originals.length)
    restored.forEach((record, index) => {
      const { labels, ...rest } = originals[index]!
      expect(JSON.stringify(record)).toBe(JSON.stringify(labels ? { ...rest, labels } : rest))
    })
  })

  it('keeps the distances between records', () => {
    const shiftMs = records[0]!.timestamp - originals[0]!.timestamp
    expect(records.filter((record, index) => record.timestamp - originals[index]!.timestamp !== shiftMs)).toEqual([])
  })

  it('shows every verdict', () => {
    expect(new Set(records.map(record => record.action))).toEqual(new Set(['ALLOW', 'BLOCK', 'CAPTCHA', 'CHALLENGE']))
  })

  it('has whole milliseconds whatever clock it is given', async () => {
    for await (const record of sampleRecords(NOW_MS + 0.75)) {
      expect(Number.isSafeInteger((JSON.parse(record.toString()) as Sampled).timestamp)).toBe(true)
      break
    }
  })
})
