import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DeadLetterSpace } from '../../engine/dead-letter-space.ts'

test('what is written while the folder is looked at is counted, whether the look has seen it or not', async () => {
  const told: number[] = []
  const folder = mkdtempSync(join(tmpdir(), 'haetae-dead-'))
  const space = new DeadLetterSpace({ folder, bytesMax: 100, used: bytes => told.push(bytes) })
  await space.measure()
  const looking = space.measure()
  // Ends first, and is not in the folder: as a file that the look has passed before it grew.
  await space.take(60, () => Promise.resolve())
  await looking
  expect(told).toEqual([0, 60, 60])
})
