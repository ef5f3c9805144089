import { createWriteStream } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3'
import { HaetaeError } from './errors.ts'
import { isMissing, S3Away, troubleOf } from './s3-trouble.ts'

type Aws = typeof import('@aws-sdk/client-s3')

export interface S3Place {
  readonly bucket: string
  /** Empty, or ends with a slash. */
  readonly prefix: string
}

/** What another client needs to reach the same bucket. */
export interface S3Access {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
  readonly region: string
  /** Set when it is not AWS's own; objects are then addressed by path. */
  readonly endpoint: URL | undefined
}

interface S3Entry {
  readonly key: string
  readonly bytes: number
  /** Whole seconds. Of a multipart upload: when it began. */
  readonly modifiedMs: number
}

/**
 * One bucket. Every call rejects with SINK_UNAUTHORISED or SINK_MISCONFIGURED when a person must act, and with S3Away when waiting may
 * help; short hiccups are tried again here. Keys below are whole keys.
 */
export interface S3 {
  /** Stores the file unless the key is taken, whoever took it. Resolves when it is durable. */
  putNew(key: string, file: string, signal?: AbortSignal): Promise<'stored' | 'present'>
  /** Bytes of the object; undefined when there is none. */
  sizeOf(key: string): Promise<number | undefined>
  /** In the order of the keys. */
  list(prefix: string): AsyncGenerator<S3Entry>
  /** False when there is no such object. The file is whole or not there. */
  get(key: string, file: string): Promise<boolean>
  /** The object as it streams, of this version when one is named; undefined when there is none. Reading it may fail half-way. */
  stream(key: string, versionId?: string): Promise<Readable | undefined>
  remove(key: string): Promise<void>
  access(): Promise<S3Access>
  close(): void
}

/** Larger objects go up in parts of this size; the service takes at most 10,000 parts, of at least 5 MiB. */
const PART_BYTES = 8 * 1024 * 1024
const PARTS_MAX = 10_000
/** Parts held in memory. */
const PARTS_AT_ONCE = 2
const ATTEMPTS_MAX = 4
const CONNECT_MS_MAX = 5_000
/** Without a byte either way. */
const SILENT_MS_MAX = 30_000
const ABORT_MS_MAX = 5_000

const LOCATION = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[A-Za-z0-9!_.*()=-]+)*)\/?$/

export function isS3Location(location: string): boolean {
  return location.startsWith('s3:')
}

/** `s3://bucket` or `s3://bucket/prefix`, in the letters that no program between here and Athena has to escape. Throws CONFIG_INVALID. */
export function parseS3(location: string): S3Place {
  const [, bucket, path = ''] = LOCATION.exec(location) ?? []
  if (bucket === undefined || /\/\.{1,2}(\/|$)|\*/.test(path)) {
    throw new HaetaeError('CONFIG_INVALID', `${location}: expected s3://bucket/prefix, in plain letters`)
  }
  return { bucket, prefix: path === '' ? '' : `${path.slice(1)}/` }
}

/**
 * Credentials and Region come from where AWS programs look for them (environment, profile, web identity, instance);
 * AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL names another server than AWS's. Does not connect yet.
 */
export async function connectS3(bucket: string): Promise<S3> {
  // Large: loaded when the first bucket is opened, not by every command.
  const aws = await import('@aws-sdk/client-s3')
  const endpoint = process.env['AWS_ENDPOINT_URL_S3'] || process.env['AWS_ENDPOINT_URL']
  const client = new aws.S3Client({
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    maxAttempts: ATTEMPTS_MAX,
    requestHandler: { connectionTimeout: CONNECT_MS_MAX, socketTimeout: SILENT_MS_MAX },
  })
  return new Bucket(aws, client, bucket, endpoint ? new URL(endpoint) : undefined)
}

class Bucket implements S3 {
  readonly #aws: Aws
  readonly #client: S3Client
  readonly #bucket: string
  readonly #endpoint: URL | undefined

  constructor(aws: Aws, client: S3Client, bucket: string, endpoint: URL | undefined) {
    this.#aws = aws
    this.#client = client
    this.#bucket = bucket
    this.#endpoint = endpoint
  }

  async putNew(key: string, file: string, signal?: AbortSignal): Promise<'stored' | 'present'> {
    const handle = await open(file, 'r')
    try {
      const { size } = await handle.stat()
      await this.#said(
        `writing ${key}`,
        size > PART_BYTES ? this.#putParts(key, handle, size, signal) : this.#putWhole(key, handle, size, signal),
      )
      return 'stored'
    } catch (thrown) {
      if (thrown instanceof S3Away && thrown.code === 'PreconditionFailed') return 'present'
      // The first try was carried out and only its answer lost.
      const gone = thrown instanceof S3Away && thrown.code === 'NoSuchUpload'
      if (gone && (await this.sizeOf(key)) !== undefined) return 'present'
      throw thrown
    } finally {
      await handle.close()
    }
  }

  async sizeOf(key: string): Promise<number | undefined> {
    try {
      return (await this.#client.send(new this.#aws.HeadObjectCommand(this.#at(key)))).ContentLength
    } catch (thrown) {
      if (isMissing(thrown)) return undefined
      throw this.#trouble(thrown, `looking for ${key}`)
    }
  }

  async *list(prefix: string): AsyncGenerator<S3Entry> {
    for (let token: string | undefined; ; ) {
      const next = token === undefined ? {} : { ContinuationToken: token }
      const command = new this.#aws.ListObjectsV2Command({ Bucket: this.#bucket, Prefix: prefix, ...next })
      const page = await this.#said(`listing ${prefix}`, this.#client.send(command))
      for (const { Key, Size = 0, LastModified } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, bytes: Size, modifiedMs: LastModified?.getTime() ?? 0 }
      }
      token = page.NextContinuationToken
      if (!page.IsTruncated || token === undefined) return
    }
  }

  async get(key: string, file: string): Promise<boolean> {
    try {
      const { Body } = await this.#client.send(new this.#aws.GetObjectCommand(this.#at(key)))
      await pipeline(Body as Readable, createWriteStream(file, { mode: 0o600 }))
      return true
    } catch (thrown) {
      await rm(file, { force: true })
      if (isMissing(thrown)) return false
      throw this.#trouble(thrown, `reading ${key}`)
    }
  }

  async stream(key: string, versionId?: string): Promise<Readable | undefined> {
    const version = versionId === undefined ? {} : { VersionId: versionId }
    try {
      const { Body } = await this.#client.send(new this.#aws.GetObjectCommand({ ...this.#at(key), ...version }))
      return Body as Readable
    } catch (thrown) {
      if (isMissing(thrown)) return undefined
      throw this.#trouble(thrown, `reading ${key}`)
    }
  }

  async remove(key: string): Promise<void> {
    await this.#said(`deleting ${key}`, this.#client.send(new this.#aws.DeleteObjectCommand(this.#at(key))))
  }

  async access(): Promise<S3Access> {
    const { config } = this.#client
    const { accessKeyId, secretAccessKey, sessionToken } = await this.#said('finding credentials', config.credentials())
    const region = await this.#said('finding the Region', config.region())
    return { accessKeyId, secretAccessKey, sessionToken, region, endpoint: this.#endpoint }
  }

  close(): void {
    this.#client.destroy()
  }

  async #putWhole(key: string, file: FileHandle, bytes: number, signal?: AbortSignal): Promise<void> {
    const Body = await read(file, 0, bytes)
    await this.#client.send(
      new this.#aws.PutObjectCommand({ ...this.#at(key), Body, IfNoneMatch: '*' }),
      within(signal),
    )
  }

  /** The object appears with the last request, whole, unless the key was taken meanwhile. */
  async #putParts(key: string, file: FileHandle, bytes: number, signal?: AbortSignal): Promise<void> {
    const begin = new this.#aws.CreateMultipartUploadCommand({ ...this.#at(key), ChecksumAlgorithm: 'CRC32' })
    const { UploadId } = await this.#client.send(begin, within(signal))
    try {
      const MultipartUpload = { Parts: await this.#sendParts({ ...this.#at(key), UploadId }, file, bytes, signal) }
      const end = { ...this.#at(key), UploadId, IfNoneMatch: '*', MultipartUpload }
      await this.#client.send(new this.#aws.CompleteMultipartUploadCommand(end), within(signal))
    } catch (thrown) {
      // What stays behind when this fails, too, is paid for until a lifecycle rule of the bucket removes it.
      const abort = new this.#aws.AbortMultipartUploadCommand({ ...this.#at(key), UploadId })
      await this.#client.send(abort, { abortSignal: AbortSignal.timeout(ABORT_MS_MAX) }).catch(() => undefined)
      throw thrown
    }
  }

  /** Resolves or rejects when nothing is on its way any more: a part that arrives late would outlive its upload. */
  async #sendParts(
    upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined },
    file: FileHandle,
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<CompletedPart[]> {
    const partBytes = Math.max(PART_BYTES, Math.ceil(bytes / PARTS_MAX))
    const parts: CompletedPart[] = []
    const failed = new AbortController()
    const stop = { abortSignal: signal ? AbortSignal.any([signal, failed.signal]) : failed.signal }
    let failure: unknown
    let next = 0
    const send = async (): Promise<void> => {
      for (let index = next++; index * partBytes < bytes; index = next++) {
        const Body = await read(file, index * partBytes, Math.min(partBytes, bytes - index * partBytes))
        const part = { ...upload, PartNumber: index + 1, Body, ChecksumAlgorithm: 'CRC32' } as const
        const { ETag, ChecksumCRC32 } = await this.#client.send(new this.#aws.UploadPartCommand(part), stop)
        parts[index] = { PartNumber: index + 1, ETag, ChecksumCRC32 }
      }
    }
    const sendOrStop = async (): Promise<void> => {
      try {
        await send()
      } catch (thrown) {
        failure ??= thrown
        failed.abort()
      }
    }
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, sendOrStop))
    if (failure !== undefined) throw failure
    return parts
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#bucket, Key: key }
  }

  async #said<T>(what: string, request: Promise<T>): Promise<T> {
    try {
      return await request
    } catch (thrown) {
      throw this.#trouble(thrown, what)
    }
  }

  #trouble(thrown: unknown, what: string): Error {
    return troubleOf(thrown, `${what} in s3://${this.#bucket}`)
  }
}

function within(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {}
}

async function read(file: FileHandle, start: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes)
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, start + done)
    if (bytesRead === 0) throw new Error('a file that was being stored ended early')
    done += bytesRead
  }
  return buffer
}
