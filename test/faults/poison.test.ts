import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readDeadLetters } from '../../engine/dead-letter-files.ts'
import { pause } from '../support/program.ts'
import { Random } from '../support/random.ts'
import { type Child, endChildren, start } from './topics-owner.ts'

const CHILD = join(import.meta.dirname, 'poison-child.ts')

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-poison-'))
})
afterEach(async () => {
  await endChildren()
  delete process.env['KILLERS']
  rmSync(folder, { recursive: true, force: true })
})

function life(records: number, busyUs = 0): Child {
  return start([process.execPath, CHILD, folder, String(records), String(busyUs)])
}

/** Starts processes until one comes through; how many died by a signal. */
async function deathsUntilThrough(records: number): Promise<number> {
  for (let deaths = 0; deaths < 40; deaths++) {
    const { process: child, lines } = life(records)
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    if (code === 0 && lines.includes('done')) return deaths
    expect(signal, lines.join('\n')).toBe('SIGKILL')
  }
  throw new Error('the killer was never found')
}

/** In the dead letter; one that was written and not committed yet when the next killer struck is there again. */
async function quarantined(): Promise<string[]> {
  const letters = new Set<string>()
  for await (const { letter } of readDeadLetters(join(folder, 'deadletter'))) {
    const { raw, reason, stage } = letter
    expect([stage, reason.split(':')[0]]).toEqual(['topic', 'poison'])
    letters.add(String(raw))
  }
  return [...letters].toSorted()
}

/** Numbers of the records that came through, each once. */
function through(): Set<number> {
  const lines = readFileSync(join(folder, 'out'), 'utf8').trim().split('\n')
  expect(lines.every(line => /^record \d+$/.test(line))).toBe(true)
  return new Set(lines.map(line => Number(line.slice('record '.length))))
}

test('a record that kills the process is dead-lettered after three deaths, and its neighbours come through', async () => {
  process.env['KILLERS'] = '555'
  expect(await deathsUntilThrough(1_200)).toBe(3)
  expect(await quarantined()).toEqual(['killer 555'])
  const came = through()
  expect(Array.from({ length: 1_200 }, (_, n) => n).filter(n => !came.has(n))).toEqual([555])
})

test('several killers cost three deaths each, even side by side and in both partitions', async () => {
  process.env['KILLERS'] = '300,301,302,307'
  expect(await deathsUntilThrough(600)).toBeLessThanOrEqual(12)
  expect(await quarantined()).toEqual(['killer 300', 'killer 301', 'killer 302', 'killer 307'])
  expect(through().size).toBe(596)
})

test('20 kills from outside, most of them while records are in the stages, quarantine nothing', async () => {
  // Long enough for positions to be stored in between, as in a program that works: kills that all find the process at the very
  // same record would rightly convict it.
  const RECORDS = 60_000
  const seed = Number(process.env['HAETAE_SEED'] ?? 20261124)
  const random = new Random(seed)
  let inStages = 0
  // More of them where the machine is so busy that too few fall into the stages.
  for (let round = 0; round < 20 || (inStages <= 3 && round < 100); round++) {
    const child = life(RECORDS, 120)
    await child.said(/^open$/)
    await pause(random.int(5, 600))
    await child.kill()
    if (readFileSync(join(folder, 'state', 'poison', 'poison-poison', 'in-stages'), 'utf8').startsWith('-')) continue
    inStages++
  }
  expect(await deathsUntilThrough(RECORDS)).toBe(0)
  expect(await quarantined(), `seed ${seed}`).toEqual([])
  expect(through().size, `seed ${seed}`).toBe(RECORDS)
  // The test did something: the kills fell where records are suspected.
  expect(inStages).toBeGreaterThan(3)
})
