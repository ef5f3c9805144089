import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'

// Of the disk only its free space is made up: the file that is extended is a real one.
const disk = vi.hoisted(() => ({ freeBytes: 0 }))
vi.mock('node:fs', async original => ({
  ...(await original<typeof import('node:fs')>()),
  statfsSync: () => ({ bavail: disk.freeBytes / 4096, bsize: 4096 }),
}))

const { LogRoom } = await import('../../platform/topics/room.ts')
const { temporaryFolder } = await import('./temporary.ts')

const MIB = 1024 * 1024

function openRoom(freeBytes: number, freeBytesInside = 0) {
  const folder = temporaryFolder()
  disk.freeBytes = freeBytes
  writeFileSync(join(folder, 'log'), Buffer.alloc(64 * 1024, 'x'))
  const room = new LogRoom({ folder, file: 'log', usedBytes: () => 64 * 1024, freeBytesInside: () => freeBytesInside })
  const path = join(folder, 'log')
  return { room, size: () => statSync(path).size, bytes: () => readFileSync(path) }
}

describe('room for a transaction', () => {
  it('writes nothing ahead on a disk with ample space', async () => {
    const { room, size } = openRoom(1024 * MIB)
    await room.prepare({ bytes: MIB, writes: 1, appends: true })
    expect(size()).toBe(64 * 1024)
    await room.close()
  })

  it('extends the file past its last page by what the transaction may need, and once is enough', async () => {
    const { room, size } = openRoom(32 * MIB)
    await room.prepare({ bytes: MIB, writes: 4, appends: false })
    const extended = size()
    expect(extended).toBeGreaterThanOrEqual(64 * 1024 + MIB + 4 * 16 * 1024)
    await room.prepare({ bytes: MIB, writes: 4, appends: false })
    expect(size()).toBe(extended)
    await room.close()
  })

  it('keeps room for upkeep when it appends, unless pages inside the file are free', async () => {
    const [appends, inside, upkeep] = [openRoom(32 * MIB), openRoom(32 * MIB, 8 * MIB), openRoom(32 * MIB)]
    await appends.room.prepare({ bytes: MIB, writes: 1, appends: true })
    await inside.room.prepare({ bytes: MIB, writes: 1, appends: true })
    await upkeep.room.prepare({ bytes: MIB, writes: 1, appends: false })
    expect(inside.size()).toBe(upkeep.size())
    expect(appends.size() - upkeep.size()).toBeGreaterThanOrEqual(MIB)
    for (const { room } of [appends, inside, upkeep]) await room.close()
  })

  it('never touches what is in the file', async () => {
    const { room, bytes } = openRoom(32 * MIB)
    await room.prepare({ bytes: 3 * MIB, writes: 1, appends: true })
    const [kept, added] = [bytes().subarray(0, 64 * 1024), bytes().subarray(64 * 1024)]
    expect(kept.equals(Buffer.alloc(64 * 1024, 'x'))).toBe(true)
    expect(added.length).toBeGreaterThan(3 * MIB)
    expect(added.every(byte => byte === 0)).toBe(true)
    await room.close()
  })
})
