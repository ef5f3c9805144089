import { readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import { LOG_FILE } from '../../platform/topics/store.ts'
import { numbered, options, positionsAfter, recordOf, take, topicConfig } from './support.ts'
import { openTemporary } from './temporary.ts'

const TMPFS = 0x01021994

/**
 * Bytes of the log's mapped pages that the kernel has not written to the disk yet: it counts a page of a file mapping as
 * dirty in smaps while the page cache holds it dirty, whoever wrote it.
 */
function dirtyBytes(folder: string): number {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)
  const ours = mappings.filter(mapping => mapping.slice(0, mapping.indexOf('\n')).endsWith(join(folder, LOG_FILE)))
  expect(ours.length).toBeGreaterThan(0)
  const fields = ours.flatMap(mapping => [...mapping.matchAll(/^(?:Shared|Private)_Dirty: +(\d+) kB$/gm)])
  return fields.reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0)
}

/** What is still unwritten when the answer of an append, and of a commit, is there. */
async function dirtyAfterAnswers(topics: EmbeddedTopics, folder: string): Promise<number[]> {
  const config = topicConfig({ partitions: 2 })
  await topics.ensure(config)
  const subscription = await topics.subscribe(options(config.name))
  const dirty: number[] = []
  for (let round = 0; round < 10; round++) {
    const records = [...numbered(50), recordOf('large', 'x'.repeat(200_000))]
    await topics.append(config.name, records, `request-${round}`)
    // Reading maps the pages, so that the kernel reports them.
    const read = await take(subscription, records.length)
    dirty.push(dirtyBytes(folder))
    await subscription.commit(positionsAfter(read))
    dirty.push(dirtyBytes(folder))
  }
  await topics.close()
  return dirty
}

describe('durability of the embedded log', () => {
  it('answers an append and a commit only when nothing of it is left for the kernel to write', async context => {
    if (process.platform !== 'linux') return context.skip('only Linux tells which pages are unwritten')
    const planted = await openTemporary({ unsafeNoSync: true })
    if (statfsSync(planted.folder).type === TMPFS) return context.skip('a file system in memory never writes')
    // The same log without sync: what this test must be able to notice.
    const withoutSync = await dirtyAfterAnswers(planted.topics, planted.folder)
    if (withoutSync.every(bytes => bytes === 0)) return context.skip('this kernel does not report unwritten pages')
    expect(Math.max(...withoutSync)).toBeGreaterThan(100_000)
    const { topics, folder } = await openTemporary()
    const withSync = await dirtyAfterAnswers(topics, folder)
    expect(withSync).toEqual(withSync.map(() => 0))
  })
})
