import type { Announced } from './announced.ts'

const OBJECTS_MAX = 10_000

/** The objects that were read to the end last: S3 may announce one twice. Behind the bound its events are known by their ids. */
export class Finished {
  readonly #names = new Set<string>()

  has(object: Announced): boolean {
    return this.#names.has(nameOf(object))
  }

  add(object: Announced): void {
    const [oldest] = this.#names
    if (oldest !== undefined && this.#names.size >= OBJECTS_MAX) this.#names.delete(oldest)
    this.#names.add(nameOf(object))
  }
}

/** Of one state of a key: what is written to it again is another object. */
function nameOf({ bucket, key, versionId = '', etag = '' }: Announced): string {
  return `${bucket}/${key}\n${versionId}\n${etag}`
}
