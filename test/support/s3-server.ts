import { hash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, vi } from 'vitest'

/** What a test makes the server answer instead, by status and S3 error code. */
interface S3Refusal {
  readonly status: number
  readonly code: string
}

export interface FakeS3 {
  readonly url: string
  readonly bucket: string
  /** Objects are plain files below it. */
  readonly bucketFolder: string
  readonly env: Readonly<Record<string, string>>
  /** `PUT key`, `POST key?uploads`, … as they came in. */
  readonly requests: string[]
  /** Uploads that were begun and neither completed nor aborted. */
  readonly uploads: ReadonlyMap<string, unknown>
  /** Asked for every request; what it gives is answered and nothing is done. */
  refuse: (request: string) => S3Refusal | undefined
  /** Keys of one page of a list. */
  pageKeys: number
  stop(): Promise<void>
}

/**
 * The part of S3 that Haetae uses, in this process, over files: PutObject and CompleteMultipartUpload with If-None-Match, Head, Get, Delete,
 * ListObjectsV2 (https://docs.aws.amazon.com/AmazonS3/latest/API/). It looks at no signature. test/real has a real server.
 */
export async function startFakeS3(bucket = 'haetae-lake'): Promise<FakeS3> {
  const home = mkdtempSync(join(tmpdir(), 'haetae-fake-s3-'))
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const fake = new FakeServer(`http://127.0.0.1:${address.port}`, bucket, home, async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    rmSync(home, { recursive: true, force: true })
  })
  server.on('request', (request, response) => void fake.answer(request, response))
  return fake
}

/** For the tests of one file: found by whoever looks for AWS in the environment, and stopped after the last of them. */
export async function fakeS3OfTests(): Promise<FakeS3> {
  const s3 = await startFakeS3()
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value)
  afterAll(async () => {
    vi.unstubAllEnvs()
    await s3.stop()
  })
  return s3
}

class FakeServer implements FakeS3 {
  readonly url: string
  readonly bucket: string
  readonly bucketFolder: string
  readonly env: Readonly<Record<string, string>>
  readonly requests: string[] = []
  readonly uploads = new Map<string, Map<number, Buffer>>()
  readonly stop: () => Promise<void>
  refuse: (request: string) => S3Refusal | undefined = () => undefined
  pageKeys = 1_000

  constructor(url: string, bucket: string, home: string, stop: () => Promise<void>) {
    this.url = url
    this.bucket = bucket
    this.bucketFolder = join(home, bucket)
    this.stop = stop
    this.env = {
      AWS_ACCESS_KEY_ID: 'testkey',
      AWS_SECRET_ACCESS_KEY: 'testsecret',
      AWS_REGION: 'ap-northeast-2',
      AWS_ENDPOINT_URL_S3: url,
    }
    mkdirSync(this.bucketFolder)
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request)
    if (!body) return // The client gave up.
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url)
    const [, name = '', ...rest] = pathname.split('/').map(decodeURIComponent)
    searchParams.delete('x-id')
    const query = [...searchParams.keys()].join('&')
    const said = `${request.method} ${rest.join('/')}${query && `?${query}`}`
    this.requests.push(said)
    const missing = name === this.bucket ? undefined : { status: 404, code: 'NoSuchBucket' }
    const refusal = this.refuse(said) ?? missing
    const key = rest.join('/')
    if (refusal) refuse(response, refusal)
    else if (key === '') this.#list(response, searchParams)
    else if (searchParams.has('uploads')) this.#begin(response, key)
    else if (searchParams.has('uploadId')) this.#upload(request, response, key, searchParams, body)
    else this.#object(request, response, key, body)
  }

  #object({ method, headers }: IncomingMessage, response: ServerResponse, key: string, body: Buffer): void {
    const file = join(this.bucketFolder, key)
    const there = existsSync(file) && statSync(file).isFile()
    if (method === 'PUT' && headers['if-none-match'] === '*' && there) taken(response)
    else if (method === 'PUT') {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, body)
      response.writeHead(200, { etag: etagOf(body) }).end()
    } else if (method === 'DELETE') {
      rmSync(file, { force: true })
      response.writeHead(204).end()
    } else if (there) {
      const bytes = readFileSync(file)
      const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? []
      const part = first === undefined ? bytes : bytes.subarray(Number(first), last ? Number(last) + 1 : undefined)
      const lastModified = statSync(file).mtime.toUTCString()
      response.writeHead(first === undefined ? 200 : 206, {
        'content-length': part.length,
        'last-modified': lastModified,
      })
      response.end(method === 'HEAD' ? undefined : part)
    } else refuse(response, { status: 404, code: 'NoSuchKey' })
  }

  #begin(response: ServerResponse, key: string): void {
    const id = randomUUID()
    this.uploads.set(id, new Map())
    const inner = `<Bucket>${this.bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId>`
    xml(response, 200, `<InitiateMultipartUploadResult>${inner}</InitiateMultipartUploadResult>`)
  }

  #upload(
    { method, headers }: IncomingMessage,
    response: ServerResponse,
    key: string,
    query: URLSearchParams,
    body: Buffer,
  ): void {
    const file = join(this.bucketFolder, key)
    const id = query.get('uploadId')!
    const parts = this.uploads.get(id)
    if (!parts) refuse(response, { status: 404, code: 'NoSuchUpload' })
    else if (method === 'PUT') {
      parts.set(Number(query.get('partNumber')), body)
      response.writeHead(200, { etag: etagOf(body), 'x-amz-checksum-crc32': 'AAAAAA==' }).end()
    } else if (method === 'DELETE') {
      this.uploads.delete(id)
      response.writeHead(204).end()
    } else if (headers['if-none-match'] === '*' && existsSync(file)) taken(response)
    else {
      this.uploads.delete(id)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)))
      const inner = `<Bucket>${this.bucket}</Bucket><Key>${key}</Key><ETag>"x-${parts.size}"</ETag>`
      xml(response, 200, `<CompleteMultipartUploadResult>${inner}</CompleteMultipartUploadResult>`)
    }
  }

  #list(response: ServerResponse, query: URLSearchParams): void {
    const prefix = query.get('prefix') ?? ''
    const after = query.get('continuation-token') ?? ''
    const keys = readdirSync(this.bucketFolder, { recursive: true, encoding: 'utf8' })
      .filter(key => key.startsWith(prefix) && key > after && statSync(join(this.bucketFolder, key)).isFile())
      .sort()
    const page = keys.slice(0, this.pageKeys)
    const contents = page.map(key => {
      const { size, mtime } = statSync(join(this.bucketFolder, key))
      return `<Contents><Key>${key}</Key><Size>${size}</Size><LastModified>${mtime.toISOString()}</LastModified></Contents>`
    })
    const more = keys.length > page.length
    const token = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
    const inner = `<IsTruncated>${more}</IsTruncated>${token}${contents.join('')}`
    xml(response, 200, `<ListBucketResult>${inner}</ListBucketResult>`)
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    return undefined
  }
  return Buffer.concat(chunks)
}

function etagOf(body: Buffer): string {
  return `"${hash('md5', body)}"`
}

function taken(response: ServerResponse): void {
  refuse(response, { status: 412, code: 'PreconditionFailed' })
}

function refuse(response: ServerResponse, { status, code }: S3Refusal): void {
  xml(response, status, `<Error><Code>${code}</Code><Message>refused by the test</Message></Error>`)
}

function xml(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${body}`)
}
