import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Committer, type Write } from '../../platform/topics/committer.ts'
import type { Transaction } from '../../platform/topics/store.ts'

/** A store whose transactions end when a test says so, and that keeps what was committed. */
class ManualStore {
  readonly committed: string[][] = []
  reopened = 0
  #open: { readonly names: string[]; end(error?: Error): void } | undefined
  #opened: (() => void) | undefined

  async commit(write: (transaction: Transaction) => void): Promise<void> {
    const names: string[] = []
    write({ put: (_, key) => void names.push(String(key)), remove: () => undefined })
    const error = await new Promise<Error | undefined>(resolve => {
      this.#open = { names, end: resolve }
      this.#opened?.()
    })
    if (error) throw error
    this.committed.push(names)
  }

  reopen(): Promise<void> {
    this.reopened++
    return Promise.resolve()
  }

  /** Ends the transaction under way; resolves once the next one has begun or there is none for a while. */
  async end(error?: Error): Promise<void> {
    await this.begun()
    const open = this.#open!
    this.#open = undefined
    open.end(error)
  }

  async begun(): Promise<readonly string[]> {
    if (!this.#open) await new Promise<void>(resolve => (this.#opened = resolve))
    return this.#open!.names
  }
}

/** Room on the disk for so many bytes in one transaction. */
function committerOn(store: ManualStore, roomBytes = Number.POSITIVE_INFINITY, said: string[] = []): Committer {
  return new Committer({
    store,
    room: {
      prepare: ({ bytes, appends }) =>
        appends && bytes > roomBytes ? Promise.reject(new Error('no room')) : Promise.resolve(),
    },
    refused: error => {
      said.push(`refused: ${error.message}`)
      return error
    },
    failed: error => {
      said.push(`failed: ${error.message}`)
      return error
    },
  })
}

function write(name: string, overrides: Partial<Write> = {}): Write {
  return {
    kind: 'append',
    bytes: 1,
    apply: transaction => transaction.put('meta', Buffer.from(name), Buffer.alloc(0)),
    ...overrides,
  }
}

/** The state of promises after everything that can settle did. */
async function states(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const seen = promises.map(() => 'open')
  promises.forEach((promise, index) => {
    promise.then(
      () => (seen[index] = 'done'),
      (error: Error) => (seen[index] = error.message),
    )
  })
  await new Promise(resolve => setTimeout(resolve, 5))
  return seen
}

describe('group commit', () => {
  it('answers nobody before the transaction ends, and then everybody in it', async () => {
    const store = new ManualStore()
    const committer = committerOn(store)
    const waiting = ['a', 'b', 'c'].map(name => committer.submit(write(name)))
    expect(await store.begun()).toEqual(['a', 'b', 'c'])
    expect(await states(waiting)).toEqual(['open', 'open', 'open'])
    await store.end()
    expect(await states(waiting)).toEqual(['done', 'done', 'done'])
  })

  it('shares one transaction among all that came while another was being synced', async () => {
    const store = new ManualStore()
    const committer = committerOn(store)
    const first = committer.submit(write('first'))
    await store.begun()
    const rest = Array.from({ length: 50 }, (_, index) => committer.submit(write(`${index}`)))
    await store.end()
    await first
    expect(await store.begun()).toHaveLength(50)
    expect((await states(rest)).every(state => state === 'open')).toBe(true)
    await store.end()
    await Promise.all(rest)
    expect(store.committed).toHaveLength(2)
  })

  it('bounds the bytes of a transaction, but lets one larger write through', async () => {
    const store = new ManualStore()
    const committer = committerOn(store)
    const mib = 1024 * 1024
    const waiting = [30, 9, 9, 7].map((size, index) => committer.submit(write(`${index}`, { bytes: size * mib })))
    for (let groups = 0; groups < 3; groups++) {
      await store.end()
      await states([])
    }
    await Promise.all(waiting)
    expect(store.committed).toEqual([['0'], ['1'], ['2', '3']])
  })

  it('fails the appends of a failed transaction, undoes them in reverse, and tries upkeep once more alone', async () => {
    const store = new ManualStore()
    const said: string[] = []
    const committer = committerOn(store, undefined, said)
    const undone: string[] = []
    const named = (name: string, kind: Write['kind']): Write => write(name, { kind, undone: () => undone.push(name) })
    const waiting = [named('a', 'append'), named('u', 'upkeep'), named('b', 'append')].map(each =>
      committer.submit(each),
    )
    await store.end(new Error('no space'))
    expect(await store.begun()).toEqual(['u'])
    expect(await states(waiting)).toEqual(['no space', 'open', 'no space'])
    expect(undone).toEqual(['b', 'u', 'a'])
    await store.end()
    expect(await states(waiting)).toEqual(['no space', 'done', 'no space'])
    expect(store.reopened).toBe(1)
    expect(said).toEqual(['failed: no space'])
  })

  it('writes what the disk has room for, upkeep first, and refuses the rest without trying', async () => {
    const store = new ManualStore()
    const said: string[] = []
    const committer = committerOn(store, 10, said)
    const sizes = [
      ['a', 8],
      ['b', 30],
      ['c', 9],
    ] as const
    const waiting = sizes.map(([name, bytes]) => committer.submit(write(name, { bytes })))
    waiting.push(committer.submit(write('u', { kind: 'upkeep', bytes: 99 })))
    waiting[1]!.catch(() => undefined) // Looked at below.
    for (const expected of [['u'], ['a'], ['c']]) {
      expect(await store.begun()).toEqual(expected)
      await store.end()
      await states([])
    }
    expect(await states(waiting)).toEqual(['done', 'no room', 'done', 'done'])
    expect(said).toEqual(['refused: no room'])
    expect(store.reopened).toBe(0)
  })

  it('goes on after failures with what was submitted meanwhile', async () => {
    const store = new ManualStore()
    const committer = committerOn(store)
    const first = committer.submit(write('first', { kind: 'upkeep' }))
    await store.begun()
    const second = committer.submit(write('second'))
    await store.end(new Error('one'))
    await store.end(new Error('two'))
    expect(await states([first])).toEqual(['two'])
    await store.end()
    expect(await states([second])).toEqual(['done'])
  })

  it('commits in the order of submission, each write once or, if it was told so, not at all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ appends: fc.integer({ min: 1, max: 5 }), fails: fc.boolean() }), { maxLength: 12 }),
        async rounds => {
          const store = new ManualStore()
          const committer = committerOn(store)
          const outcomes = new Map<string, boolean>()
          let count = 0
          for (const { appends, fails } of rounds) {
            const waiting = Array.from({ length: appends }, () => {
              const name = String(count++)
              return committer.submit(write(name)).then(
                () => outcomes.set(name, true),
                () => outcomes.set(name, false),
              )
            })
            await store.end(fails ? new Error('failed') : undefined)
            await Promise.all(waiting)
          }
          const durable = store.committed.flat()
          expect(durable).toEqual([...durable].sort((a, b) => Number(a) - Number(b)))
          expect(new Set(durable)).toEqual(new Set([...outcomes].filter(([, done]) => done).map(([name]) => name)))
          expect(durable).toHaveLength(new Set(durable).size)
        },
      ),
      { numRuns: 50 },
    )
  })
})
