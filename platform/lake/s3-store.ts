import { connectS3, parseS3, type S3, type S3Place } from '../s3.ts'
import { prepareParts } from './parts.ts'
import type { LakeStore } from './store.ts'

/** Objects in a bucket of S3 or of a server that speaks its protocol, below a prefix. */
export async function openS3Store(location: string, partsFolder: string): Promise<LakeStore> {
  const { bucket, prefix } = parseS3(location)
  return s3Store(await connectS3(bucket), { bucket, prefix }, location, partsFolder)
}

function s3Store(s3: S3, { bucket, prefix }: S3Place, location: string, partsFolder: string): LakeStore {
  return {
    location: location.replace(/\/$/, ''),
    partsFolder,
    async prepare(nowMs) {
      await prepareParts(partsFolder, nowMs)
      // Proves credentials, bucket and the right to list it; a right to write can only be proved by writing.
      for await (const _ of s3.list(`${prefix}class=`)) break
    },
    sizeOf: path => s3.sizeOf(prefix + path),
    putNew: (path, file, signal) => s3.putNew(prefix + path, file, signal),
    async *list(below) {
      for await (const { key, bytes, modifiedMs } of s3.list(prefix + below)) {
        yield { path: key.slice(prefix.length), bytes, modifiedMs }
      }
    },
    get: (path, file) => s3.get(prefix + path, file),
    remove: path => s3.remove(prefix + path),
    source: path => `s3://${bucket}/${prefix}${path}`,
    access: () => s3.access(),
    close() {
      s3.close()
      return Promise.resolve()
    },
  }
}
