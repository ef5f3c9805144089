import { randomBytes } from 'node:crypto'
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { systemCodeOf } from '../errors.ts'
import { syncFolder } from '../sync-folder.ts'
import { prepareParts } from './parts.ts'
import type { LakeStore, StoredObject } from './store.ts'

/** Below the lake, as a rename must stay within one file system; what is in it does not end in .parquet. */
const PARTS_FOLDER = '.tmp'

/** File systems without hard links say one of these. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV']

/** Objects as files, 0600 in folders of 0700: synced under a temporary name, then given their own, then the folder is synced. */
export class FolderStore implements LakeStore {
  readonly location: string
  readonly partsFolder: string
  /** Folders whose entries in their parents are known to be durable. */
  readonly #synced = new Set<string>()

  constructor(folder: string) {
    this.location = resolve(folder)
    this.partsFolder = join(this.location, PARTS_FOLDER)
  }

  async prepare(nowMs: number): Promise<void> {
    await mkdir(this.location, { recursive: true, mode: 0o700 })
    await prepareParts(this.partsFolder, nowMs)
    const path = this.#newPart()
    const probe = await open(path, 'wx', 0o600)
    await probe.close()
    await rm(path, { force: true })
  }

  async sizeOf(path: string): Promise<number | undefined> {
    const file = join(this.location, path)
    const size = await orMissing(stat(file)).then(found => found?.size)
    // It was synced before it got its name; that the name lasts is not known when its writer died.
    if (size !== undefined) await this.#syncFolder(dirname(file))
    return size
  }

  async putNew(path: string, file: string): Promise<'stored' | 'present'> {
    const target = join(this.location, path)
    await sealFile(file)
    await mkdir(dirname(target), { recursive: true, mode: 0o700 })
    try {
      await link(file, target)
    } catch (thrown) {
      if (systemCodeOf(thrown) === 'EEXIST') {
        await this.#syncFolder(dirname(target))
        return 'present'
      }
      if (!NO_LINKS.includes(systemCodeOf(thrown))) throw thrown
      return this.#copyNew(target, file)
    }
    await this.#syncFolder(dirname(target))
    return 'stored'
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    yield* this.#below(prefix.replace(/\/$/, ''))
  }

  async get(path: string, file: string): Promise<boolean> {
    const source = join(this.location, path)
    try {
      await rm(file, { force: true })
      await link(source, file)
      return true
    } catch (thrown) {
      if (systemCodeOf(thrown) === 'ENOENT') return false
      if (!NO_LINKS.includes(systemCodeOf(thrown))) throw thrown
      return (await orMissing(copyFile(source, file).then(() => true))) === true
    }
  }

  async remove(path: string): Promise<void> {
    const file = join(this.location, path)
    await rm(file, { force: true })
    await orMissing(syncFolder(dirname(file)))
  }

  source(path: string): string {
    return join(this.location, path)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async *#below(path: string): AsyncGenerator<StoredObject> {
    const entries = (await orMissing(readdir(join(this.location, path), { withFileTypes: true }))) ?? []
    // As paths sort: a folder as its name with the slash.
    const names = entries.map(each => (each.isDirectory() ? `${each.name}/` : each.name)).sort()
    for (const name of names) {
      const below = path === '' ? name : `${path}/${name}`
      if (name.endsWith('/')) yield* this.#below(below.slice(0, -1))
      else {
        const found = await orMissing(stat(join(this.location, below)))
        if (found) yield { path: below, bytes: found.size, modifiedMs: found.mtimeMs }
      }
    }
  }

  /** Without hard links nothing says atomically that a name is free; two writers of one name write the same. */
  async #copyNew(target: string, file: string): Promise<'stored' | 'present'> {
    if (await orMissing(stat(target))) return 'present'
    const part = this.#newPart()
    try {
      await copyFile(file, part)
      await sealFile(part)
      await rename(part, target)
    } finally {
      await rm(part, { force: true })
    }
    await this.#syncFolder(dirname(target))
    return 'stored'
  }

  #newPart(): string {
    return join(this.partsFolder, `${randomBytes(12).toString('hex')}.part`)
  }

  /** The folder's own entries, and once for each folder also its entry in its parent, up to the lake. */
  async #syncFolder(folder: string): Promise<void> {
    await syncFolder(folder)
    for (let at = folder; at.length > this.location.length && !this.#synced.has(at); at = dirname(at)) {
      await syncFolder(dirname(at))
      if (this.#synced.size >= 10_000) this.#synced.clear()
      this.#synced.add(at)
    }
  }
}

/** DuckDB makes its files readable for everybody. */
async function sealFile(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.chmod(0o600)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (thrown) {
    if (systemCodeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
