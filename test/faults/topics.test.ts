import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { connectOwner } from '../../platform/topics/client.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { openEmbedded } from '../../platform/topics/embedded.ts'
import { options, positionsAfter, recordOf, take, topicConfig } from '../topics/contract.ts'
import { embeddedOptions, temporaryFolder } from '../topics/temporary.ts'
import { CONCURRENT, SET_RECORDS, setOf, TOPIC } from './topics-child.ts'

const CHILD = join(import.meta.dirname, 'topics-child.ts')

interface Child {
  readonly process: ChildProcess
  /** Whole lines it said. */
  readonly lines: string[]
  said(pattern: RegExp): Promise<string>
  kill(): Promise<void>
}

const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})

function start(command: readonly string[]): Child {
  const [file = '', ...given] = command
  const child = spawn(file, given, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const lines: string[] = []
  let rest = ''
  let errors = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)))
  return {
    process: child,
    lines,
    async said(pattern) {
      for (let waited = 0; waited < 60_000; waited += 5) {
        const line = lines.find(each => pattern.test(each))
        if (line !== undefined) return line
        if (child.exitCode !== null) throw new Error(`the child ended (${child.exitCode}): ${errors}`)
        await new Promise(resolve => setTimeout(resolve, 5))
      }
      throw new Error(`the child never said ${pattern}: ${lines.slice(-5).join(' | ')} ${errors}`)
    },
    async kill() {
      const ended = once(child, 'close')
      child.kill('SIGKILL')
      await ended
    },
  }
}

function startOwner(folder: string, role: 'append' | 'hold', first = 0): Child {
  return start([process.execPath, CHILD, folder, role, String(first)])
}

/** The sets that were answered. */
function answered(child: Child): number[] {
  return child.lines.filter(line => /^\d+$/.test(line)).map(Number)
}

/** Every record of the topic by set, after checking its content and its place. */
async function readSets(topics: Topics): Promise<Map<number, number>> {
  const subscription = await topics.subscribe(options(TOPIC))
  const counts = new Map<number, number>()
  const next = new Map<number, bigint>()
  for (;;) {
    const fetched = await subscription.poll(AbortSignal.timeout(300))
    if (!fetched) break
    for (const { offset, value, key } of fetched.records) {
      expect(offset).toBe(next.get(fetched.partition) ?? 0n)
      next.set(fetched.partition, offset + 1n)
      const [set, position] = String(value).split(' ')[0]!.split('.').map(Number)
      const written = setOf(set!)[position!]!
      expect([key, String(value)]).toEqual([written.key, String(written.value)])
      counts.set(set!, (counts.get(set!) ?? 0) + 1)
    }
  }
  await subscription.close()
  return counts
}

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

/** A file system of its own of so many bytes; undefined where that is not allowed. */
function mountSmall(bytes: number): { readonly folder: string; unmount(): void } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-small-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return undefined
  }
  return { folder, unmount: () => execFileSync('umount', ['--lazy', folder]) }
}

describe('a full disk', () => {
  const large = (count: number) => Array.from({ length: count }, (_, n) => recordOf(`k${n}`, 'x'.repeat(50_000)))

  it('refuses appends, still takes commits, loses nothing, and goes on when there is room: on the disk', async context => {
    const disk = mountSmall(16 * 1024 ** 2)
    if (!disk) return context.skip('this user may not mount a file system')
    try {
      const given = embeddedOptions({ folder: join(disk.folder, 'topics'), bytesMax: 1024 ** 3 })
      const topics = await openEmbedded(given)
      const config = topicConfig({ partitions: 2 })
      await topics.ensure(config)
      const reading = options(config.name)
      const subscription = await topics.subscribe(reading)
      const ballast = join(disk.folder, 'ballast')
      let appended = 0
      let committed = 0
      for (let round = 0; round < 3; round++) {
        await topics.append(config.name, large(4))
        appended += 4
        const { bavail, bsize } = statfsSync(disk.folder)
        writeFileSync(ballast, Buffer.alloc(bavail * bsize - 200_000))
        let refused = 0
        for (let tries = 0; tries < 20; tries++) {
          await topics.append(config.name, large(4)).then(
            () => (appended += 4),
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'TOPIC_FULL' })
              refused++
            },
          )
        }
        expect(refused).toBeGreaterThan(10)
        expect(topics.full).toBe(true)
        const [fetched] = await take(subscription, 1)
        await subscription.commit(positionsAfter([fetched!], `note-${round}`))
        committed += fetched!.records.length
        rmSync(ballast)
        await topics.append(config.name, large(4))
        appended += 4
        expect(topics.full).toBe(false)
      }
      await topics.close()
      const again = await openEmbedded(given)
      const rest = await again.subscribe(reading)
      expect((await take(rest, appended - committed)).flatMap(({ records }) => records)).toHaveLength(
        appended - committed,
      )
      await again.close()
    } finally {
      disk.unmount()
    }
  })

  it('goes on when there is room in the log: consumers catch up, and what they committed is deleted', async context => {
    const disk = mountSmall(12 * 1024 ** 2)
    if (!disk) return context.skip('this user may not mount a file system')
    try {
      const given = embeddedOptions({ folder: join(disk.folder, 'topics'), bytesMax: 1024 ** 3 })
      const topics = await openEmbedded(given)
      const config = topicConfig({ partitions: 2 })
      await topics.ensure(config)
      const subscription = await topics.subscribe(options(config.name))
      let appended = 0
      let read = 0
      for (let round = 0; round < 3; round++) {
        for (let full = false; !full; ) {
          full = await topics.append(config.name, large(4)).then(
            () => false,
            () => true,
          )
          if (!full) appended += 4
        }
        const fetched = await take(subscription, appended - read)
        read = appended
        await subscription.commit(positionsAfter(fetched))
        await expect
          .poll(
            async () => {
              await topics.maintain()
              return topics.append(config.name, large(4)).then(
                () => 'appended',
                (error: Error) => error.message,
              )
            },
            { timeout: 30_000 },
          )
          .toBe('appended')
        appended += 4
      }
      await topics.close()
      const again = await openEmbedded(given)
      expect((await again.lag()).reduce((sum, { committed, end }) => sum + Number(end - committed), 0)).toBe(
        appended - read,
      )
      await again.close()
    } finally {
      disk.unmount()
    }
  })

  it('survives SIGKILL while it is full, at any moment', async context => {
    const disk = mountSmall(6 * 1024 ** 2)
    if (!disk) return context.skip('this user may not mount a file system')
    try {
      const folder = join(disk.folder, 'topics')
      const all = new Set<number>()
      let first = 0
      for (let round = 0; round < 6; round++) {
        const child = startOwner(folder, 'append', first)
        await child.said(/^full/)
        await new Promise(resolve => setTimeout(resolve, (round * 53) % 200))
        await child.kill()
        for (const set of answered(child)) all.add(set)
        first = Math.max(0, Math.max(...all) - 5)
      }
      const topics = await openEmbedded(embeddedOptions({ folder, bytesMax: 256 * 1024 ** 2 }))
      const counts = await readSets(topics)
      expect(all.size).toBeGreaterThan(20)
      expect([...all].filter(set => counts.get(set) !== SET_RECORDS)).toEqual([])
      expect([...counts].filter(([, count]) => count !== SET_RECORDS)).toEqual([])
      await topics.close()
    } finally {
      disk.unmount()
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
