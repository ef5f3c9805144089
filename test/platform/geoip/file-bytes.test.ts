import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { FileBytes, FileChanged, section, WINDOW_BYTES } from '../../../platform/geoip/file-bytes.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-file-bytes-'))
/** Three blocks of what a file is cut into: with it nearly every read needs one that is not there. */
const SMALL_CACHE_BYTES = 14_000

const opened: FileBytes[] = []
afterEach(() => {
  for (const bytes of opened.splice(0)) bytes.close()
})
let files = 0
function open(content: Buffer, cacheBytes = SMALL_CACHE_BYTES) {
  const path = join(folder, `file-${files++}`)
  writeFileSync(path, content)
  // Not written just now: the clock of a file system ticks every few milliseconds.
  utimesSync(path, 1_790_000_000, 1_790_000_000)
  const bytes = new FileBytes(path, cacheBytes)
  opened.push(bytes)
  return { path, bytes }
}
const content = Buffer.from(Array.from({ length: 100_003 }, (_, at) => (at * 7 + (at >> 8) * 13) & 0xff))

describe('a file read in blocks', () => {
  it.each([SMALL_CACHE_BYTES, 1, 1_000_000])(
    'with %i bytes of cache has the bytes of the file, wherever and in whatever order',
    cacheBytes => {
      const { bytes } = open(content, cacheBytes)
      expect(bytes.length).toBe(content.length)
      const place = fc.nat(content.length - 1)
      fc.assert(
        fc.property(fc.array(fc.tuple(place, fc.integer({ min: 1, max: 20_000 })), { maxLength: 30 }), asked => {
          for (const [offset, length] of asked) {
            const inside = Math.min(length, content.length - offset)
            const at = bytes.place(offset)
            const window = Math.min(WINDOW_BYTES, inside)
            expect(bytes.memory.subarray(at, at + window).equals(content.subarray(offset, offset + window))).toBe(true)
            expect(bytes.read(offset, inside).equals(content.subarray(offset, offset + inside))).toBe(true)
          }
        }),
        { numRuns: 200 },
      )
    },
  )

  it('takes no more memory than it may, however much was read', () => {
    const { bytes } = open(content)
    for (let offset = 0; offset < content.length; offset += 100) bytes.place(offset)
    expect(bytes.memory.length).toBeLessThanOrEqual(SMALL_CACHE_BYTES)
  })

  it('has sections that count from their start', () => {
    const { bytes } = open(content)
    const part = section(bytes, 50_000, 60_000)
    expect(part.length).toBe(10_000)
    expect(part.memory[part.place(5)]).toBe(content[50_005])
    expect(part.read(100, 5000).equals(content.subarray(50_100, 55_100))).toBe(true)
  })

  it('stays what it was when another file takes its name', () => {
    const { path, bytes } = open(content)
    writeFileSync(`${path}.new`, Buffer.alloc(content.length, 1))
    renameSync(`${path}.new`, path)
    for (const offset of [0, 40_000, 99_000]) {
      expect(bytes.read(offset, 1000).equals(content.subarray(offset, offset + 1000))).toBe(true)
    }
  })

  it.each<[string, (path: string) => void]>([
    ['is written to in place', path => writeFileSync(path, Buffer.alloc(content.length, 1))],
    ['grows', path => appendFileSync(path, 'x')],
    ['is cut short', path => truncateSync(path, 50_000)],
  ])('that %s gives an error and never the new bytes; what is in memory stays right', (_, change) => {
    const { path, bytes } = open(content)
    bytes.place(0)
    change(path)
    expect(bytes.memory[bytes.place(7)]).toBe(content[7])
    expect(() => bytes.place(90_000)).toThrow(FileChanged)
    expect(() => bytes.place(90_000)).toThrow(FileChanged)
    expect(() => bytes.read(40_000, 9000)).toThrow(FileChanged)
    // A read that failed may take the place of a block that was there, and says so.
    try {
      expect(bytes.memory[bytes.place(7)]).toBe(content[7])
    } catch (error) {
      expect(error).toBeInstanceOf(FileChanged)
    }
  })

  it('has no bytes past its end, and none after it was closed', () => {
    const { path, bytes } = open(content)
    expect(() => bytes.place(content.length + 8192)).toThrow(/has no byte/)
    bytes.place(0)
    bytes.close()
    bytes.close()
    expect(() => bytes.place(0)).toThrow(`${path} is closed`)
  })

  it.runIf(process.platform === 'linux')('gives its descriptor back', () => {
    const { path, bytes } = open(content)
    const isOpen = () =>
      readdirSync('/proc/self/fd').some(fd => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === realpathSync(path)
        } catch {
          return false // The descriptor of this very listing.
        }
      })
    expect(isOpen()).toBe(true)
    bytes.close()
    expect(isOpen()).toBe(false)
  })
})
