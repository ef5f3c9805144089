import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { cached, runProgram } from './cache.ts'
import { findJava } from './java.ts'

const SOURCES = fileURLToPath(new URL('opensearch', import.meta.url))
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const START_MS_MAX = 180_000
const STOP_MS_MAX = 30_000

export interface RealOpenSearch {
  readonly url: string
  /** Ends it without warning, as a crash does. */
  kill(): Promise<void>
  /** After kill(): starts it again on the same data, at the same address. */
  restart(): Promise<RealOpenSearch>
  /** Stops it and removes its data. */
  stop(): Promise<void>
}

/**
 * A real OpenSearch 3.8.0 node on 127.0.0.1 without Docker: the server and its modules from Maven Central, kept in the
 * user's cache folder. Needs `mvn`. Security, ISM, SQL and alerting plugins are not part of it. `settings` as in opensearch.yml.
 */
export async function startOpenSearch(settings: Readonly<Record<string, string>> = {}): Promise<RealOpenSearch> {
  const java = await findJava()
  const classPath = await prepare(java)
  return start(java, classPath, mkdtempSync(join(tmpdir(), 'haetae-opensearch-')), settings)
}

/** Downloads and compiles; returns the class path. */
async function prepare(java: string): Promise<string> {
  const pom = join(SOURCES, 'pom.xml')
  const source = join(SOURCES, 'OpenSearchNode.java')
  const print = hash('sha256', readFileSync(pom, 'utf8') + readFileSync(source, 'utf8')).slice(0, 12)
  const folder = await cached(`opensearch-${print}`, async making => {
    const jars = join(making, 'lib')
    await runProgram('mvn', '-B', '-q', '-f', pom, COPY, `-DoutputDirectory=${jars}`, '-DincludeScope=runtime')
    const classPath = readdirSync(jars)
      .map(name => join(jars, name))
      .join(':')
    const compiler = ['-cp', classPath, 'org.eclipse.jdt.internal.compiler.batch.Main']
    await runProgram(java, ...compiler, '-21', '-nowarn', '-cp', classPath, '-d', join(making, 'classes'), source)
  })
  return `${join(folder, 'classes')}:${join(folder, 'lib', '*')}`
}

async function start(
  java: string,
  classPath: string,
  home: string,
  settings: Readonly<Record<string, string>>,
): Promise<RealOpenSearch> {
  const vector = (await runProgram(java, '--list-modules')).includes('jdk.incubator.vector')
  const child = spawn(java, [
    '-Xms768m',
    '-Xmx768m',
    // Quicker to start; this is not a server to measure.
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '--enable-native-access=ALL-UNNAMED',
    ...(vector ? ['--add-modules', 'jdk.incubator.vector'] : []),
    '-cp',
    classPath,
    'OpenSearchNode',
    home,
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
  ])
  child.on('error', () => undefined) // Seen as an early end below.
  const port = await portOf(child)
  const url = `http://127.0.0.1:${port}`
  await untilReady(url, child)
  const ended = async (limitMs: number): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const killer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    await once(child, 'exit')
    clearTimeout(killer)
  }
  return {
    url,
    async kill() {
      child.kill('SIGKILL')
      await ended(STOP_MS_MAX)
    },
    restart: () => start(java, classPath, home, { ...settings, 'http.port': String(port) }),
    async stop() {
      child.stdin.end()
      await ended(STOP_MS_MAX)
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** The port it prints. Throws with the end of its output when it ends or says nothing for too long. */
async function portOf(child: ChildProcessWithoutNullStreams): Promise<number> {
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-4_000)
  })
  const tooLong = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX)
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /^http (\d+)$/.exec(line)?.[1]
      if (port === undefined) continue
      child.stdout.resume()
      return Number(port)
    }
  } finally {
    clearTimeout(tooLong)
  }
  throw new Error(`OpenSearch did not start:\n${output}`)
}

async function untilReady(url: string, child: ChildProcessWithoutNullStreams): Promise<void> {
  const untilMs = Date.now() + START_MS_MAX
  for (;;) {
    const health = await fetch(`${url}/_cluster/health?wait_for_status=yellow&timeout=5s`).catch(() => undefined)
    await health?.arrayBuffer()
    if (health?.ok) return
    if (child.exitCode !== null || Date.now() > untilMs) throw new Error(`OpenSearch at ${url} did not become ready`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
