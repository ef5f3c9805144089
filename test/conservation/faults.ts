import { pause } from '../support/program.ts'
import { Random } from '../support/random.ts'
import { memberOf, type System } from './system.ts'

/** What is done and to whom, `atMs` after the round began, for `lastsMs`. */
export interface PlannedFault {
  readonly kind: FaultKind
  readonly target: string
  readonly atMs: number
  readonly lastsMs: number
}

interface Fault {
  readonly targets: readonly string[]
  readonly lastsMs: readonly [min: number, max: number]
  /** Faults of one subject come one after another. */
  readonly subject: string | ((target: string) => string)
  /** Does it; what it gives undoes it. */
  readonly begin: (system: System, target: string) => Promise<(() => Promise<void> | void) | undefined>
}

const HOUR_MS = 3_600_000
const consumers = ['waf-1', 'waf-2', 'waf-lake-1', 'waf-lake-2']
const brokers = ['0', '1', '2']
const TROUBLE = { slow_down: 0.4, reset: 0.2, lost_answer: 0.2 }
/** Also without any fault the way to ingest loses an answer now and then: this is what repeats are made of. */
export const CALM = { lost_answer: 0.05 }
const STORM_TURNS = 3
const STORM_PAUSE_MS = 1_200
/** Some are tried again: more than one piece of work. */
const TROUBLED_REQUESTS = 6
const TROUBLE_MS_MAX = 60_000
const COMMIT_MS = 2_500

const kinds = {
  /** SIGKILL of any process. */
  kill: {
    targets: ['ingest', ...consumers],
    lastsMs: [0, 0],
    subject: 'members',
    begin: (system, target) => memberOf(system, target).kill().then(nothing),
  },
  /** SIGSTOP and SIGCONT: shorter and longer than a session of the group. */
  freeze: {
    targets: consumers,
    lastsMs: [1_000, 9_000],
    subject: 'members',
    begin(system, target) {
      memberOf(system, target).freeze()
      return Promise.resolve(() => memberOf(system, target).thaw())
    },
  },
  /** SIGKILL of a broker, which leads some of the partitions. */
  'kill broker': {
    targets: brokers,
    lastsMs: [2_000, 6_000],
    subject: 'kafka',
    async begin(system, target) {
      const node = system.servers.kafka.nodes[Number(target)]!
      await node.kill()
      return () => node.restart()
    },
  },
  /** A broker whose followers hang dies before they are back: only what they had may count as durable. */
  'kill lonely broker': {
    targets: brokers,
    lastsMs: [2_000, 4_000],
    subject: 'kafka',
    async begin(system, target) {
      const node = system.servers.kafka.nodes[Number(target)]!
      const followers = system.servers.kafka.nodes.filter(each => each !== node)
      for (const follower of followers) follower.freeze()
      await pause(2_500)
      await node.kill()
      for (const follower of followers) follower.thaw()
      return () => node.restart()
    },
  },
  'kill OpenSearch': {
    targets: ['search'],
    lastsMs: [500, 3_000],
    subject: 'search',
    async begin({ servers }) {
      await servers.search.kill()
      return async () => {
        servers.search = await servers.search.restart()
      }
    },
  },
  'OpenSearch refuses': onTheWay('search', { chances: TROUBLE }),
  'slow OpenSearch': onTheWay('search', { chances: { delay: 1 }, delayMsMax: 2_000 }),
  'S3 refuses': onTheWay('store', { chances: TROUBLE }),
  'slow S3': onTheWay('store', { chances: { delay: 1 }, delayMsMax: 2_000 }),
  /** All that a group wrote was stored without its knowing, when its consumers are killed. */
  'killed over lost answers': killedOnTheWay('lost_answer'),
  /** Nothing that a group read is stored, when its consumers are killed. */
  'killed while waiting': killedOnTheWay('reset'),
  'ingest loses answers': onTheWay('ingest', { chances: { reset: 0.2, lost_answer: 0.5 } }),
  /** Of the folder with the spool and the dead letter. */
  'full disk': {
    targets: ['waf-lake-1'],
    lastsMs: [4_000, 8_000],
    subject: 'disk',
    begin({ disk }) {
      disk?.fill()
      return Promise.resolve(() => disk?.free())
    },
  },
  'clock an hour ahead': clockShift(HOUR_MS),
  'clock an hour back': clockShift(-HOUR_MS),
  /** A consumer of each group leaves and comes back, again and again. */
  'rebalance storm': {
    targets: ['1', '2'],
    lastsMs: [0, 0],
    subject: 'members',
    async begin(system, target) {
      for (let turn = 0; turn < STORM_TURNS; turn++) {
        const storming = [memberOf(system, `waf-${target}`), memberOf(system, `waf-lake-${target}`)]
        await Promise.all(storming.map(member => member.terminate()))
        await pause(STORM_PAUSE_MS * (turn + 1))
      }
      return nothing()
    },
  },
  /** Every process in turn, as an upgrade does it. */
  'rolling restart': {
    targets: ['all'],
    lastsMs: [0, 0],
    subject: 'members',
    async begin(system) {
      for (const member of system.members) {
        await member.terminate()
        await pause(500)
        await member.ready()
      }
      return nothing()
    },
  },
} satisfies Record<string, Fault>

export type FaultKind = keyof typeof kinds
export const faultKinds = Object.keys(kinds) as FaultKind[]

function nothing(): undefined {
  return undefined
}

function onTheWay(
  target: 'ingest' | 'search' | 'store',
  { chances, delayMsMax = 1 }: { readonly chances: Readonly<Record<string, number>>; readonly delayMsMax?: number },
): Fault {
  return {
    targets: [target],
    lastsMs: [3_000, 8_000],
    subject: `way to ${target}`,
    begin(system) {
      const proxy = system[target]
      proxy.delayMsMax = delayMsMax
      proxy.chances = chances
      return Promise.resolve(() => {
        proxy.chances = target === 'ingest' ? CALM : {}
      })
    },
  }
}

/** For the consumers of `waf` or `waf-lake`. They are killed once some requests met the trouble, however long that takes. */
function killedOnTheWay(trouble: 'lost_answer' | 'reset'): Fault {
  const wayOf = (group: string): 'search' | 'store' => (group === 'waf' ? 'search' : 'store')
  return {
    targets: ['waf', 'waf-lake'],
    lastsMs: [500, 1_000],
    subject: group => `way to ${wayOf(group)}`,
    async begin(system, group) {
      const proxy = system[wayOf(group)]
      const before = proxy.counts[trouble]
      // The lake looks whether an object is there before it writes one.
      proxy.readsPass = trouble === 'lost_answer'
      proxy.chances = { [trouble]: 1 }
      const untilMs = Date.now() + TROUBLE_MS_MAX
      while (proxy.counts[trouble] < before + TROUBLED_REQUESTS && Date.now() < untilMs) await pause(50)
      // Long enough for positions to be stored, if somebody stores them.
      await pause(COMMIT_MS)
      await Promise.all(['1', '2'].map(each => memberOf(system, `${group}-${each}`).kill()))
      return () => {
        proxy.readsPass = false
        proxy.chances = {}
      }
    },
  }
}

function clockShift(ms: number): Fault {
  return {
    targets: ['ingest', ...consumers],
    lastsMs: [4_000, 8_000],
    subject: 'clock',
    begin(system, target) {
      memberOf(system, target).shiftClock(ms)
      return Promise.resolve(() => memberOf(system, target).shiftClock(0))
    },
  }
}

/** The faults of a round: which, to whom and when, from the seed alone. Each kind once before any comes twice. */
export function planOf(seed: number, count: number, windowMs: number): readonly PlannedFault[] {
  const random = new Random(seed)
  const deck: FaultKind[] = []
  const planned = Array.from({ length: count }, () => {
    if (deck.length === 0) deck.push(...faultKinds)
    const [kind = 'kill'] = deck.splice(random.int(0, deck.length - 1), 1)
    const { targets, lastsMs } = kinds[kind] as Fault
    return { kind, target: random.pick(targets), atMs: random.int(0, windowMs), lastsMs: random.int(...lastsMs) }
  })
  return planned.sort((a, b) => a.atMs - b.atMs)
}

/** Carries the plan out; resolves when every fault is over and undone. */
export async function befall(system: System, plan: readonly PlannedFault[]): Promise<void> {
  const startMs = Date.now()
  const lanes = new Map<string, Promise<void>>()
  for (const { kind, target, atMs, lastsMs } of plan) {
    const { subject, begin } = kinds[kind] as Fault
    const lane = typeof subject === 'string' ? subject : subject(target)
    const before = lanes.get(lane) ?? Promise.resolve()
    const mine = async (): Promise<void> => {
      await before
      await pause(Math.max(0, startMs + atMs - Date.now()))
      const undo = await begin(system, target)
      await pause(lastsMs)
      await undo?.()
    }
    lanes.set(lane, mine())
  }
  await Promise.all(lanes.values())
}

export function told({ kind, target, atMs, lastsMs }: PlannedFault): string {
  const lasts = lastsMs > 0 ? ` for ${(lastsMs / 1_000).toFixed(1)} s` : ''
  return `${(atMs / 1_000).toFixed(1)} s: ${kind} (${target})${lasts}`
}
