import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { connectOwner } from '../../platform/topics/client.ts'
import { openEmbedded } from '../../platform/topics/embedded.ts'
import { options, positionsAfter, take } from '../topics/support.ts'
import { embeddedOptions, temporaryFolder } from '../topics/temporary.ts'
import { CONCURRENT, SET_RECORDS, TOPIC } from './topics-child.ts'
import { answered, CHILD, endChildren, readSets, start, startOwner } from './topics-owner.ts'

afterEach(endChildren)

describe('SIGKILL of the owner', () => {
  it('loses no answered set, tears no set and doubles none, over 20 deaths and with every set repeated', async () => {
    const folder = temporaryFolder()
    const all = new Set<number>()
    let first = 0
    for (let round = 0; round < 20; round++) {
      const child = startOwner(folder, 'append', first)
      await child.said(/^open$/)
      // From the first answer to some hundred later: the kill falls anywhere in the append, sync and answer.
      await child.said(/^\d+$/)
      await new Promise(resolve => setTimeout(resolve, (round * 37) % 160))
      await child.kill()
      for (const set of answered(child)) all.add(set)
      // The next process sends again what was not answered, and much that was.
      first = Math.max(0, Math.max(...all) - 20)
    }
    const topics = await openEmbedded(embeddedOptions({ folder, bytesMax: 256 * 1024 ** 2 }))
    const counts = await readSets(topics)
    expect(all.size).toBeGreaterThan(100)
    expect([...all].filter(set => counts.get(set) !== SET_RECORDS)).toEqual([])
    expect([...counts].filter(([, count]) => count !== SET_RECORDS)).toEqual([])
    await topics.close()
  })

  it('keeps answered positions and never moves them past what is there', async () => {
    const folder = temporaryFolder()
    const child = startOwner(folder, 'append')
    await child.said(/^200$/)
    await child.kill()
    const given = options(TOPIC, { recordsMax: 50 })
    for (let round = 0; round < 3; round++) {
      const topics = await openEmbedded(embeddedOptions({ folder, bytesMax: 256 * 1024 ** 2 }))
      const subscription = await topics.subscribe(given)
      await subscription.commit(positionsAfter(await take(subscription, 100), `note-${round}`))
      const before = await topics.lag()
      await topics.close()
      const next = startOwner(folder, 'append', 1000 * (round + 1))
      await next.said(/^\d+$/)
      await next.kill()
      const again = await openEmbedded(embeddedOptions({ folder, bytesMax: 256 * 1024 ** 2 }))
      const after = await again.lag()
      expect(after.map(({ committed }) => committed)).toEqual(before.map(({ committed }) => committed))
      for (const { committed, end } of after) expect(committed).toBeLessThanOrEqual(end)
      await again.close()
    }
  })
})

describe('ownership between processes', () => {
  it('passes to the next process at once when the owner is killed, whatever it left behind', async () => {
    const folder = temporaryFolder()
    for (let round = 0; round < 3; round++) {
      const owner = startOwner(folder, 'hold')
      await owner.said(/^open$/)
      const refused = startOwner(folder, 'hold')
      expect(await refused.said(/^refused/)).toMatch(
        new RegExp(`TOPIC_OWNED .*pid ${owner.process.pid}\\b.*HAETAE_STATE`),
      )
      const client = (await connectOwner(folder))!
      expect((await client.describe()).pid).toBe(owner.process.pid)
      client.close()
      await owner.kill()
      expect(existsSync(join(folder, 'topics.sock'))).toBe(true)
      expect(await connectOwner(folder)).toBeUndefined()
    }
    const topics = await openEmbedded(embeddedOptions({ folder }))
    await topics.close()
  })

  it('goes to exactly one of many processes that start at once', async () => {
    for (let round = 0; round < 4; round++) {
      const folder = temporaryFolder()
      const rivals = Array.from({ length: 5 }, () => startOwner(folder, 'hold'))
      const said = await Promise.all(rivals.map(rival => rival.said(/^(open|refused)/)))
      expect(said.filter(line => line === 'open')).toHaveLength(1)
      expect(said.filter(line => line.startsWith('refused TOPIC_OWNED'))).toHaveLength(4)
      await Promise.all(rivals.filter(({ process }) => process.exitCode === null).map(rival => rival.kill()))
    }
  })
})

describe('the order of sync and answer', () => {
  it('is: pages written, fdatasync of the log, meta page through a descriptor with O_DSYNC, and only then the answer', async context => {
    try {
      execFileSync('strace', ['-V'], { stdio: 'ignore' })
    } catch {
      return context.skip('strace is not installed; test/topics/durability.test.ts asks the kernel instead')
    }
    const folder = temporaryFolder()
    const trace = join(temporaryFolder(), 'trace')
    const calls = 'openat,pwrite64,pwritev,pwritev2,writev,write,fdatasync,fsync'
    const strace = ['strace', '-f', '-e', `trace=${calls}`, '-s', '16', '-o', trace]
    const child = start([...strace, process.execPath, CHILD, folder, 'append', '0', '60'])
    await once(child.process, 'close')
    expect(answered(child)).toHaveLength(61)
    const events = completedCalls(readFileSync(trace, 'utf8'))
    const opened = events.flatMap(line => {
      const found = /^openat\(.*log\.mdb", ([A-Z_|]+).*= (\d+)$/.exec(line)
      return found ? [{ flags: found[1]!, file: found[2]! }] : []
    })
    const meta = opened.find(({ flags }) => flags.includes('O_DSYNC'))!.file
    const data = opened.find(({ flags }) => flags.includes('O_RDWR') && !flags.includes('O_DSYNC'))!.file
    let unsynced = false
    let published = 0
    let answeredSince = 0
    for (const call of events) {
      if (new RegExp(`^(pwrite64|pwritev2?|writev)\\(${data},`).test(call)) unsynced = true
      if (new RegExp(`^fdatasync\\(${data}\\) += 0`).test(call)) unsynced = false
      if (call.startsWith(`pwrite64(${meta},`)) {
        expect(unsynced).toBe(false)
        published++
        answeredSince = 0
      }
      // No more answers than appends at once share one transaction.
      if (/^write\(1, "\d+\\n"/.test(call)) expect(++answeredSince).toBeLessThanOrEqual(CONCURRENT)
    }
    expect(published).toBeGreaterThan(15)
  })
})

/** The calls of a trace, each where it ended: one during which another thread was traced is in two lines. */
function completedCalls(trace: string): string[] {
  const begun = new Map<string, string>()
  const calls: string[] = []
  for (const line of trace.split('\n')) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const [, head] = /^(.*) <unfinished \.\.\.>$/.exec(text) ?? []
    const [, tail] = /^<\.\.\. \w+ resumed>(.*)$/.exec(text) ?? []
    if (head !== undefined) begun.set(thread, head)
    else calls.push(tail === undefined ? text : (begun.get(thread) ?? '') + tail)
  }
  return calls
}
