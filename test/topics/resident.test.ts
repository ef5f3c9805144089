import { readFileSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BlockKey, encodeBlockKey, LOG_FILE, Store } from '../../platform/topics/store.ts'
import { options, recordOf, topicConfig } from './support.ts'
import { openTemporary, temporaryFolder } from './temporary.ts'

const VALUE_BYTES = 256 * 1024
const READ_BYTES_MAX = 2 * 1024 * 1024
const BLOCKS = 40

const keyOf = (base: number): BlockKey => {
  return { topicId: 1, partition: 0, base, span: 1, timeMs: 1, bytes: VALUE_BYTES }
}

/** Of the pages of a mapped file, those that count as memory of this process. */
function residentBytes(path: string): number {
  let bytes = 0
  let isOurs = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isOurs = line.endsWith(path)
    const [, kib] = /^Rss:\s+(\d+) kB$/.exec(line) ?? []
    if (isOurs && kib) bytes += Number(kib) * 1024
  }
  return bytes
}

const touch = (store: Store): Promise<void> => {
  return store.commit(transaction => transaction.put('meta', Buffer.from('turn'), Buffer.from('x')))
}

describe.runIf(process.platform === 'linux')('memory of the log', () => {
  it('does not grow with what was read: the next commit gives the pages of the map back', async () => {
    const folder = await realpath(temporaryFolder())
    const path = join(folder, LOG_FILE)
    const store = new Store({ folder, mapBytes: 256 * 1024 ** 2, readBytesMax: READ_BYTES_MAX, unsafeNoSync: true })
    for (let base = 0; base < BLOCKS; base++) {
      const value = Buffer.alloc(VALUE_BYTES, base)
      await store.commit(transaction => transaction.put('blocks', encodeBlockKey(keyOf(base)), value))
    }
    let most = 0
    for (let base = 0; base < BLOCKS; base++) {
      expect(store.block(keyOf(base))?.equals(Buffer.alloc(VALUE_BYTES, base))).toBe(true)
      most = Math.max(most, residentBytes(path))
      await touch(store)
    }
    // What is read between two commits comes on top, and the kernel maps a little around each page.
    expect(most).toBeGreaterThan(READ_BYTES_MAX / 2)
    expect(most).toBeLessThan(READ_BYTES_MAX + 2 * VALUE_BYTES + 1024 * 1024)
    expect(store.get('meta', Buffer.from('turn'))?.toString()).toBe('x')
    await store.close()
  })

  it('does not grow with a backlog either, whose reader commits nothing for long', async () => {
    const { topics, folder } = await openTemporary()
    const path = join(await realpath(folder), LOG_FILE)
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    const record = recordOf('key', 'x'.repeat(VALUE_BYTES))
    for (let batch = 0; batch < 50; batch++) await topics.append(config.name, [record, record, record, record])
    const subscription = await topics.subscribe(options(config.name))
    let most = 0
    for (let count = 0; count < 200; ) {
      const fetched = await subscription.poll(new AbortController().signal)
      count += fetched?.records.length ?? 0
      most = Math.max(most, residentBytes(path))
    }
    // 50 MiB were read, and 16 MiB is when the file is opened again.
    expect(most).toBeLessThan(20 * 1024 * 1024)
    await topics.close()
  })

  it('is given back only by a commit: readers are told to wait, and then read on', async () => {
    const folder = temporaryFolder()
    const store = new Store({ folder, mapBytes: 64 * 1024 ** 2, readBytesMax: 1, unsafeNoSync: true })
    const value = Buffer.alloc(VALUE_BYTES, 7)
    await store.commit(transaction => transaction.put('blocks', encodeBlockKey(keyOf(1)), value))
    store.block(keyOf(1))
    expect(store.busy).toBeUndefined()
    const committed = touch(store)
    expect(store.busy).toBeInstanceOf(Promise)
    while (store.busy) await store.busy
    expect(store.block(keyOf(1))?.equals(value)).toBe(true)
    await committed
    await store.close()
  })
})
