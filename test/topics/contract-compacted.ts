import { describe, expect, it } from 'vitest'
import type { FetchedRecord, Topics } from '../../platform/topics/contract.ts'
import type { Contract } from './contract.ts'
import { recordOf } from './support.ts'

async function compactedState(topics: Topics, topic: string): Promise<Record<string, string>> {
  const state: Record<string, string> = {}
  for await (const { key, value } of topics.readCompacted(topic)) state[key ?? ''] = String(value)
  return state
}

export function compactedPromises({ topics: opened, topicWith }: Contract): void {
  describe('compacted topics', () => {
    it('gives the newest record of each key, and no deleted key', async () => {
      const topic = await topicWith([], { compacted: true })
      await opened().append(topic, [recordOf('a', '1'), recordOf('b', '1'), recordOf('c', '1')])
      await opened().append(topic, [recordOf('a', '2'), recordOf('b', null)])
      await opened().append(topic, [recordOf('d', null), recordOf('c', ''), recordOf('a', '3')])
      expect(await compactedState(opened(), topic)).toEqual({ a: '3', c: '' })
      await opened().append(topic, [recordOf('b', 'back')])
      expect(await compactedState(opened(), topic)).toEqual({ a: '3', b: 'back', c: '' })
    })

    it('gives of the keys that are wanted those alone', async () => {
      const topic = await topicWith([], { compacted: true })
      await opened().append(topic, [recordOf('a/1', '1'), recordOf('b/1', '1'), recordOf('a/2', '1')])
      await opened().append(topic, [recordOf('a/1', '2'), recordOf('b/1', '2'), recordOf('a/2', null)])
      const asked = new Set<string>()
      const found: string[] = []
      const wants = (key: string): boolean => {
        asked.add(key)
        return key.startsWith('a/')
      }
      for await (const { key, value } of opened().readCompacted(topic, wants)) found.push(`${key}=${value}`)
      expect(found).toEqual(['a/1=2'])
      expect(asked).toEqual(new Set(['a/1', 'b/1', 'a/2']))
    })

    it('holds keys that are names of an object prototype', async () => {
      const topic = await topicWith([], { compacted: true })
      await opened().append(topic, [
        recordOf('__proto__', 'x'),
        recordOf('constructor', 'y'),
        recordOf('toString', 'z'),
      ])
      const keys = new Set<FetchedRecord['key']>()
      for await (const { key } of opened().readCompacted(topic)) keys.add(key)
      expect(keys).toEqual(new Set(['__proto__', 'constructor', 'toString']))
    })

    it('refuses a record without a key', async () => {
      const topic = await topicWith([], { compacted: true })
      await expect(opened().append(topic, [recordOf(undefined, 'x')])).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
    })
  })
}
