import { expect, test } from 'vitest'
import type { Encoded } from '../../engine/contract.ts'
import { OwnedPartition } from '../../engine/owned-partition.ts'
import { Partition } from '../support/partition.ts'

const STREAM = 'incidents/0'
const records = [{}, {}] as unknown as Encoded[]

function started() {
  const story: string[] = []
  const stream = new Partition(STREAM)
  const resting = Promise.withResolvers<void>()
  const state = { lives: 0, isBroken: false }
  const partition = new OwnedPartition<number>(stream.positions, STREAM, {
    restore: isLost => {
      if (state.isBroken) return Promise.reject(new Error('away'))
      story.push(`restore ${++state.lives}${isLost() ? ' lost' : ''}`)
      return Promise.resolve(state.lives)
    },
    end: async (held, why) => {
      story.push(`end ${held} ${why ?? 'closed'}`)
      await resting.promise
    },
    failed: () => story.push('failed'),
  })
  const write = () => partition.write(records, held => void story.push(`write ${held}`))
  return { partition, stream, story, state, resting, write }
}

test('is restored once, when the partition comes; other partitions are of no interest', async () => {
  const { stream, story, write } = started()
  stream.assign('incidents/1')
  stream.assign()
  expect(await write()).toEqual({ retry: [], reject: [] })
  await write()
  expect(story).toEqual(['restore 1', 'write 1', 'write 1'])
})

test('a write after the partition was taken away does nothing, and does not make us its owner once more', async () => {
  const { stream, story, write, resting } = started()
  stream.assign()
  await write()
  stream.revoke()
  expect(await write()).toEqual({ retry: [], reject: [] })
  resting.resolve()
  expect(await write()).toEqual({ retry: [], reject: [] })
  expect(story).toEqual(['restore 1', 'write 1', 'end 1 lost'])
})

test('who gets it back waits until what ran before has come to rest', async () => {
  const { stream, story, write, resting } = started()
  stream.assign()
  await write()
  stream.revoke()
  stream.assign()
  const written = write()
  await new Promise(setImmediate)
  expect(story).toEqual(['restore 1', 'write 1', 'end 1 lost'])
  resting.resolve()
  await written
  expect(story.slice(3)).toEqual(['restore 2', 'write 2'])
})

test('while it cannot be restored all is written again, and then it goes on', async () => {
  const { story, state, write } = started()
  state.isBroken = true
  expect(await write()).toEqual({ retry: [0, 1], reject: [], retryAfterMs: 1_000 })
  state.isBroken = false
  expect(await write()).toEqual({ retry: [], reject: [] })
  expect(story).toEqual(['failed', 'restore 1', 'write 1'])
})

test('closed, it ends what runs and says that nobody else has it', async () => {
  const { partition, story, write, resting } = started()
  await write()
  resting.resolve()
  await partition.leave()
  await partition.leave()
  expect(story).toEqual(['restore 1', 'write 1', 'end 1 closed'])
})
