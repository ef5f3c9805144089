import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '../../support/free-ports.ts'
import { cached, runProgram } from './cache.ts'

const VERSION = 'v1.8.0'
const PACKAGE = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`
const START_MS_MAX = 60_000

export interface RealS3 {
  readonly url: string
  /** What a program needs in its environment to use this server. */
  readonly env: Readonly<Record<string, string>>
  /** There, and empty at the start. */
  readonly bucket: string
  /** Objects are plain files below it. */
  readonly bucketFolder: string
  /** Ends it without warning, as a crash does. */
  kill(): Promise<void>
  /** After kill(): starts it again on the same data, at the same address. */
  restart(): Promise<void>
  /** Stops it and removes its data. */
  stop(): Promise<void>
}

/**
 * A real S3 server on 127.0.0.1 without Docker: versitygw, whose objects are files of a temporary folder. Needs `go` for the
 * first run; the program stays in the user's cache folder. Conditional writes and multipart uploads are real.
 */
export async function startS3(): Promise<RealS3> {
  const folder = await cached(`versitygw-${VERSION}`, async making => {
    await runProgram('env', `GOBIN=${making}`, 'go', 'install', PACKAGE)
  })
  const home = mkdtempSync(join(tmpdir(), 'haetae-s3-'))
  const data = join(home, 'data')
  const bucket = 'haetae-lake'
  mkdirSync(join(data, bucket), { recursive: true })
  const [port = 0] = await freePorts(1)
  const program = join(folder, 'versitygw')
  let child = await start(program, port, data)
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    bucket,
    bucketFolder: join(data, bucket),
    env: {
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: SECRET_KEY,
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL_S3: url,
    },
    kill: () => end(child, 'SIGKILL'),
    async restart() {
      child = await start(program, port, data)
    },
    async stop() {
      await end(child, 'SIGTERM')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

const REGION = 'ap-northeast-2'
/** Of a server that lives as long as a test, on this machine alone. */
const ACCESS_KEY = 'testkey'
const SECRET_KEY = 'testsecret'

async function start(program: string, port: number, data: string): Promise<ChildProcess> {
  const child = spawn(
    program,
    ['--port', `127.0.0.1:${port}`, '--region', REGION, '--health', '/health', 'posix', data],
    {
      env: { ...process.env, ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  // A run that ends without stop() leaves nothing behind.
  process.once('exit', () => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4_000)
    })
  }
  child.on('error', error => {
    output += error.message
  })
  const untilMs = Date.now() + START_MS_MAX
  for (;;) {
    const health = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined)
    await health?.arrayBuffer()
    if (health?.ok) return child
    if (child.exitCode !== null || Date.now() > untilMs) {
      await end(child, 'SIGKILL')
      throw new Error(`versitygw did not start:\n${output}`)
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}
