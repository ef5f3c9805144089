import { type ChildProcess, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../support/free-ports.ts'
import { cached, runProgram } from './cache.ts'
import { findJava } from './java.ts'

const POM = fileURLToPath(new URL('kafka/pom.xml', import.meta.url))
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const START_MS_MAX = 240_000
const STOP_MS_MAX = 30_000
const CLUSTER_ID = 'AAAAAAAAQAGAAAAAAAAAAA'
/** Quick to start; not a server to measure. */
const JVM = ['-Xmx384m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-XX:-UsePerfData']

interface KafkaNode {
  readonly id: number
  readonly port: number
  /** As a crash does. */
  kill(): Promise<void>
  /** Stops to answer without closing its connections, as a machine that hangs. */
  freeze(): void
  thaw(): void
  /** After kill(): on the same data at the same address; resolves when it serves. */
  restart(): Promise<void>
}

export interface RealKafka {
  /** host:port of all nodes, as HAETAE_KAFKA_BROKERS takes them. */
  readonly brokers: string
  readonly nodes: readonly KafkaNode[]
  /** Stops every node and removes their data. */
  stop(): Promise<void>
}

/** TLS, SCRAM-SHA-512 and ACLs on the brokers' port. `admin` may do everything, the other users what ACLs say. */
interface Secured {
  readonly cert: string
  readonly key: string
  readonly admin: User
  readonly users: readonly User[]
}
interface User {
  readonly username: string
  readonly password: string
}

interface KafkaOptions {
  readonly nodes?: 1 | 3
  readonly secured?: Secured
}

/**
 * A real Apache Kafka 4.4.0 cluster on 127.0.0.1 without Docker, KRaft, every node broker and controller: the jars from
 * Maven Central, kept in the user's cache folder. Needs `mvn`. With 3 nodes topics have 3 replicas and min ISR 2.
 */
export async function startKafka({ nodes: count = 1, secured }: KafkaOptions = {}): Promise<RealKafka> {
  const java = await findJava()
  const classPath = await prepare()
  const home = mkdtempSync(join(tmpdir(), 'haetae-kafka-'))
  const ports = await freePorts(count * 2)
  const all = Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    port: ports[index * 2]!,
    controllerPort: ports[index * 2 + 1]!,
  }))
  const voters = all.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(',')
  const make = async ({ id, port, controllerPort }: (typeof all)[number]): Promise<Node> => {
    const folder = join(home, String(id))
    mkdirSync(folder)
    const file = join(folder, 'server.properties')
    const own = { ...place(id, port, controllerPort, folder), 'controller.quorum.voters': voters }
    const safe = secured ? securityOf(secured, port, controllerPort) : {}
    const properties = Object.entries({ ...defaults(count), ...own, ...safe })
    writeFileSync(file, properties.map(([name, value]) => `${name}=${value}\n`).join(''))
    const users = secured ? [secured.admin, ...secured.users].flatMap(user => ['--add-scram', scramOf(user)]) : []
    const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', file, ...users]
    await runProgram(java, ...JVM, '-cp', classPath, ...format)
    return new Node(id, port, folder, [...JVM, '-cp', classPath, 'kafka.Kafka', file], java)
  }
  const nodes: Node[] = []
  try {
    nodes.push(...(await Promise.all(all.map(make))))
    for (const node of nodes) node.start()
    await Promise.all(nodes.map(node => node.serving()))
  } catch (error) {
    await Promise.all(nodes.map(node => node.stop()))
    rmSync(home, { recursive: true, force: true })
    throw error
  }
  return {
    brokers: all.map(({ port }) => `127.0.0.1:${port}`).join(','),
    nodes,
    async stop() {
      await Promise.all(nodes.map(node => node.stop()))
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** Downloads; returns the class path. */
async function prepare(): Promise<string> {
  const print = hash('sha256', readFileSync(POM, 'utf8')).slice(0, 12)
  const folder = await cached(`kafka-${print}`, async making => {
    await runProgram('mvn', '-B', '-q', '-f', POM, COPY, `-DoutputDirectory=${making}`, '-DincludeScope=runtime')
  })
  return join(folder, '*')
}

function defaults(count: number): Readonly<Record<string, string>> {
  const replicas = String(count)
  const inSync = String(Math.min(count, 2))
  return {
    'process.roles': 'broker,controller',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'num.partitions': '4',
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.num.partitions': '8',
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'log.retention.check.interval.ms': '1000',
    'log.cleaner.backoff.ms': '1000',
  }
}

function place(id: number, port: number, controllerPort: number, folder: string): Readonly<Record<string, string>> {
  return {
    'node.id': String(id),
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'log.dirs': join(folder, 'data'),
  }
}

function securityOf({ cert, key, admin }: Secured, port: number, controllerPort: number): Record<string, string> {
  const inline = (pem: string): string => pem.trim().replaceAll('\n', '\\n')
  const login = `username="${admin.username}" password="${admin.password}"`
  return {
    listeners: `SASL_SSL://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `SASL_SSL://127.0.0.1:${port}`,
    'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'SASL_SSL',
    'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
    'sasl.mechanism.inter.broker.protocol': 'SCRAM-SHA-512',
    'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': `org.apache.kafka.common.security.scram.ScramLoginModule required ${login};`,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.certificate.chain': inline(cert),
    'ssl.keystore.key': inline(key),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.certificates': inline(cert),
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    // The controller's port has no login.
    'super.users': `User:${admin.username};User:ANONYMOUS`,
  }
}

function scramOf({ username, password }: User): string {
  return `SCRAM-SHA-512=[name=${username},password=${password}]`
}

class Node implements KafkaNode {
  readonly id: number
  readonly port: number
  readonly #folder: string
  readonly #command: readonly string[]
  readonly #java: string
  #child: ChildProcess | undefined

  constructor(id: number, port: number, folder: string, command: readonly string[], java: string) {
    this.id = id
    this.port = port
    this.#folder = folder
    this.#command = command
    this.#java = java
  }

  start(): void {
    const output = openSync(join(this.#folder, 'log'), 'w')
    const child = spawn(this.#java, this.#command, { stdio: ['ignore', output, output] })
    // A run that ends without stop() leaves nothing behind.
    process.once('exit', () => child.kill('SIGKILL'))
    this.#child = child
    this.#child.on('error', () => undefined) // Seen as an early end by serving().
    closeSync(output)
  }

  /** Kafka logs this line once its port takes requests. Throws with the end of its output when it never does. */
  async serving(): Promise<void> {
    const untilMs = Date.now() + START_MS_MAX
    for (;;) {
      const output = readFileSync(join(this.#folder, 'log'), 'utf8')
      if (output.includes('Kafka Server started')) return
      if (this.#ended || Date.now() > untilMs) throw new Error(`Kafka did not start:\n${output.slice(-4_000)}`)
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#end(STOP_MS_MAX)
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async restart(): Promise<void> {
    this.start()
    await this.serving()
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGCONT')
    this.#child?.kill('SIGTERM')
    // A cluster whose nodes leave together has no controller to say goodbye to: it is not waited for long.
    await this.#end(3_000)
  }

  get #ended(): boolean {
    const child = this.#child
    return !child || child.pid === undefined || child.exitCode !== null || child.signalCode !== null
  }

  async #end(limitMs: number): Promise<void> {
    const child = this.#child
    if (!child || this.#ended) return
    const killer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    await once(child, 'exit')
    clearTimeout(killer)
  }
}
