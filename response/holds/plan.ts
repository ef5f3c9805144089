import { roomIn, type SetView } from '../waf/ip-sets.ts'
import type { Entry } from './state.ts'

/** What must be done so that the IP sets of one place hold what the ledger wants, and what was learned by looking at them. */
export interface Plan {
  /** Ours, and there. */
  readonly placed: readonly Entry[]
  /** Wanted, there, and not put there by us: it does what we want, and is not ours to remove. */
  readonly foreign: readonly { readonly cidr: string; readonly set: SetView }[]
  /** Wanted, and gone after a write of ours that was acknowledged: an operator removed it. */
  readonly vanished: readonly Entry[]
  /** Not wanted and not there, or in a set that is not there any more. */
  readonly cleared: readonly Entry[]
  readonly changes: readonly SetChange[]
  /** Wanted, and no set of its family has room. */
  readonly homeless: readonly string[]
}

export interface SetChange {
  readonly set: SetView
  readonly add: readonly string[]
  readonly remove: readonly string[]
}

/** `entries` by network; `wanted` in the order in which they should get room. */
export function planOf(
  wanted: ReadonlySet<string>,
  entries: ReadonlyMap<string, Entry>,
  sets: readonly SetView[],
): Plan {
  const byId = new Map(sets.map(set => [set.id, set]))
  const placed: Entry[] = []
  const vanished: Entry[] = []
  const cleared: Entry[] = []
  const remove = new Map<string, string[]>()
  for (const entry of entries.values()) {
    const set = byId.get(entry.set)
    const isThere = set?.addresses.has(entry.cidr) === true
    const isWanted = wanted.has(entry.cidr)
    if (isThere && isWanted) placed.push(entry)
    else if (isThere) push(remove, entry.set, entry.cidr)
    else if (!set || !isWanted) cleared.push(entry)
    else if (entry.state === 'placed') vanished.push(entry)
  }
  const gone = new Set(vanished.map(({ cidr }) => cidr))
  const foreign: { cidr: string; set: SetView }[] = []
  const missing: string[] = []
  for (const cidr of wanted) {
    const set = entries.has(cidr) ? undefined : sets.find(each => each.addresses.has(cidr))
    const entry = entries.get(cidr)
    if (set) foreign.push({ cidr, set })
    else if (!gone.has(cidr) && !(entry && byId.get(entry.set)?.addresses.has(cidr))) missing.push(cidr)
  }
  const { add, homeless } = assigned(missing, sets, remove, entries)
  const changes = sets
    .map(set => ({ set, add: add.get(set.id) ?? [], remove: remove.get(set.id) ?? [] }))
    .filter(change => change.add.length + change.remove.length > 0)
  return { placed, foreign, vanished, cleared, changes, homeless }
}

/** The first set of its family with room, so that few sets are written. Room that a removal of the same write makes counts. */
function assigned(
  missing: readonly string[],
  sets: readonly SetView[],
  remove: ReadonlyMap<string, readonly string[]>,
  entries: ReadonlyMap<string, Entry>,
): { readonly add: ReadonlyMap<string, string[]>; readonly homeless: readonly string[] } {
  const room = new Map(sets.map(set => [set.id, roomIn(set) + (remove.get(set.id)?.length ?? 0)]))
  const add = new Map<string, string[]>()
  const homeless: string[] = []
  for (const cidr of missing) {
    const version = cidr.includes(':') ? 'IPV6' : 'IPV4'
    // One that a request under way may still put into its set goes into no other.
    const before = entries.get(cidr)?.set
    const free = sets.filter(each => each.version === version && (room.get(each.id) ?? 0) > 0)
    const set = free.find(({ id }) => id === before) ?? free[0]
    if (set) {
      room.set(set.id, (room.get(set.id) ?? 0) - 1)
      push(add, set.id, cidr)
    } else if (sets.some(each => each.version === version)) homeless.push(cidr)
  }
  return { add, homeless }
}

function push(lists: Map<string, string[]>, key: string, item: string): void {
  const list = lists.get(key)
  if (list) list.push(item)
  else lists.set(key, [item])
}
