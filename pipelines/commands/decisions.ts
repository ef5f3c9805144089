import { randomUUID } from 'node:crypto'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { type Cidr, cidrsOverlap, clientPrefix, formatCidr, parseCidr } from '../../platform/address.ts'
import { systemClock } from '../../platform/clock.ts'
import { formatDuration, parseDuration } from '../../platform/duration.ts'
import { HaetaeError } from '../../platform/errors.ts'
import type { DecisionRequest } from '../../platform/response/decision.ts'
import type { Hold } from '../../platform/response/hold.ts'
import { isLive } from '../../response/holds/apply.ts'
import { NeverBlock, shippedNeverBlock } from '../../response/holds/never-block.ts'
import type { Command } from '../command.ts'
import { type Holdings, readHoldings, sendDecision, whenApplied } from '../holds.ts'
import { readSettings } from '../settings.ts'
import { type Format, formatOf, type Row, render } from '../terminal.ts'

export const HOLD_COLUMNS = [
  'target',
  'state',
  'until',
  'left',
  'rule',
  'reason',
  'who',
  'step',
  'alerts',
  'in_waf',
  'dry_run',
  'id',
]
/** Of a hold's id, in tables and as an argument. */
const ID_CHARS = 12

const actions = ['list', 'inspect', 'add', 'delete', 'extend', 'allow', 'resume', 'sets'] as const

interface Options {
  readonly ttl: string | undefined
  readonly reason: string | undefined
  readonly by: string | undefined
  readonly all: boolean
  readonly dryRun: boolean
  readonly format: Format
}

/** The ledger of holds: who is kept out, why, until when, by whom; and a person's requests to change that. */
export const decisions: Command = {
  name: 'decisions',
  usage:
    'list [--all] | inspect TARGET | add ADDRESS --ttl 4h --reason TEXT | delete TARGET --reason TEXT | ' +
    'extend TARGET --ttl 4h --reason TEXT | allow ADDRESS [--ttl 24h] --reason TEXT | resume --reason TEXT | sets   ' +
    '[--by NAME] [--dry-run] [-o table|json|ndjson]',
  summary:
    'show who is blocked and why, block or release an address (TARGET: an address, a network or the id of a hold), ' +
    'let one be, go on after the block budget tripped, or show what Haetae has put into IP sets',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        ttl: { type: 'string' },
        reason: { type: 'string' },
        by: { type: 'string' },
        all: { type: 'boolean', default: false },
        'dry-run': { type: 'boolean', default: false },
      },
    })
    const { output, 'dry-run': dryRun, ttl, reason, by, all } = values
    const options: Options = { ttl, reason, by, all, dryRun, format: formatOf(output) }
    const [named, target, extra] = positionals
    const action = actions.find(each => each === named)
    if (!action) throw new HaetaeError('USAGE', `the first argument is one of ${actions.join(', ')}`)
    const isAlone = action === 'list' || action === 'resume' || action === 'sets'
    if (extra !== undefined || (target === undefined) !== isAlone) {
      throw new HaetaeError(
        'USAGE',
        'list, sets and resume stand alone; inspect, add, delete, extend and allow need one target',
      )
    }
    switch (action) {
      case 'list':
        return list(options)
      case 'sets':
        return sets(options)
      case 'inspect':
        return inspect(target!, options)
      case 'add':
      case 'allow':
        return add(action, target!, options)
      case 'delete':
      case 'extend':
        return change(action, target!, options)
      case 'resume':
        return resume(options)
    }
  },
}

async function list({ all, format }: Options): Promise<number> {
  const { holds, states } = await readHoldings(readSettings())
  const shown = holds.filter(hold => all || isLive(hold)).sort((left, right) => left.untilMs - right.untilMs)
  if (shown.length === 0 && format === 'table')
    console.error(all ? 'There are no holds.' : 'Nobody is blocked. --all shows holds that have ended.')
  else console.log(render(shown.map(rowOf), HOLD_COLUMNS, format))
  const tripped = states.find(state => state.type === 'budget')?.tripped
  if (tripped) {
    console.error(
      `The block budget is tripped (${tripped.limit}: ${tripped.max}): haetae decisions resume --reason TEXT goes on`,
    )
  }
  return 0
}

async function sets({ format }: Options): Promise<number> {
  const { states } = await readHoldings(readSettings())
  const rows = states
    .filter(state => state.type === 'entry')
    .map(({ place, ipSet, cidr, state, sinceMs }) => ({
      place,
      ip_set: ipSet,
      network: cidr,
      state,
      since: timeOf(sinceMs),
    }))
  if (rows.length === 0 && format === 'table') console.error('Haetae has nothing in any IP set.')
  else console.log(render(rows, ['place', 'ip_set', 'network', 'state', 'since'], format))
  return 0
}

async function inspect(target: string, { format }: Options): Promise<number> {
  const holds = meant(await readHoldings(readSettings()), target)
  if (holds.length === 0) {
    console.error(`there is no hold on ${target}: haetae decisions list --all shows every one`)
    return 1
  }
  if (format !== 'table') {
    console.log(format === 'json' ? JSON.stringify(holds, null, 2) : holds.map(hold => JSON.stringify(hold)).join('\n'))
    return 0
  }
  console.log(render(holds.map(rowOf), HOLD_COLUMNS, format))
  console.log(`\n${historyOf(holds, format)}`)
  return 0
}

/** What happened to these holds, oldest first. */
export function historyOf(holds: readonly Hold[], format: Format): string {
  const rows = holds
    .flatMap(hold => hold.history.map(change => ({ hold, change })))
    .sort((left, right) => left.change.time - right.change.time || left.change.seq - right.change.seq)
    .map(({ hold, change }): Row => {
      const { time, what, who, reason = '', place = '', ipSet = '', untilMs } = change
      const until = untilMs === undefined ? '' : `until ${timeOf(untilMs)}`
      const where = place === '' ? '' : `${ipSet} in ${place}`
      const detail = [reason, where, until].filter(part => part !== '').join(', ')
      return { time: timeOf(time), hold: hold.uid.slice(0, ID_CHARS), what, who, detail }
    })
  return render(rows, ['time', 'hold', 'what', 'who', 'detail'], format)
}

async function add(action: 'add' | 'allow', text: string, options: Options): Promise<number> {
  const cidr = networkOf(text)
  if (action === 'add' && options.ttl === undefined)
    throw new HaetaeError('USAGE', '--ttl says for how long, such as 4h: every block has an end')
  if (action === 'add') await demandAllowed(cidr)
  const type = action === 'add' ? 'block' : 'allow'
  const decision = await send(requestOf(type, targetOf(cidr), options), options)
  if (!decision) return 0
  return report(
    decision,
    'it is in the ledger',
    ({ holds, states }) =>
      holds.some(({ uid }) => uid === decision.uid) ||
      states.some(each => each.type === 'allow' && each.decision === decision.uid),
  )
}

async function change(action: 'delete' | 'extend', target: string, options: Options): Promise<number> {
  if (action === 'extend' && options.ttl === undefined)
    throw new HaetaeError('USAGE', '--ttl says for how long from now, such as 4h')
  const holds = meant(await readHoldings(readSettings()), target).filter(isLive)
  const [first] = holds
  if (!first) {
    console.error(`there is no live hold on ${target}: ${await elsewhere(target)}`)
    return 1
  }
  const one = parseCidr(target) ? {} : { holdId: first.uid }
  const type = action === 'delete' ? 'release' : 'extend'
  const decision = await send({ ...requestOf(type, first.target, options), ...one }, options)
  if (!decision) return 0
  return report(
    decision,
    `${action === 'delete' ? 'released' : 'extended'}: ${holds.length === 1 || 'holdId' in one ? 'one hold' : `${holds.length} holds`}`,
    after => after.holds.some(({ history }) => history.some(each => each.decision === decision.uid)),
  )
}

async function resume(options: Options): Promise<number> {
  const decision = await send(requestOf('resume', { type: 'budget', value: 'blocks' }, options), options)
  if (!decision) return 0
  return report(decision, 'detections may block again', ({ states }) =>
    states.some(each => each.type === 'budget' && each.resumed?.decision === decision.uid),
  )
}

function requestOf(
  type: DecisionRequest['type'],
  target: DecisionRequest['target'],
  options: Options,
): DecisionRequest {
  const { ttl, reason, by } = options
  if (!reason) throw new HaetaeError('USAGE', '--reason says why: whoever looks at it later is not you')
  return {
    uid: randomUUID().replaceAll('-', ''),
    time: systemClock.now(),
    type,
    target,
    ...(ttl === undefined ? {} : { ttlMs: parseDuration(ttl, '--ttl') }),
    reason,
    who: by ?? userInfo().username,
    source: 'cli',
    receivedMs: systemClock.now(),
  }
}

async function send(request: DecisionRequest, { dryRun }: Options): Promise<DecisionRequest | undefined> {
  if (!dryRun) return sendDecision(readSettings(), request)
  console.log(JSON.stringify(request, null, 2))
  console.error('nothing was sent: --dry-run')
  return undefined
}

async function report(
  request: DecisionRequest,
  done: string,
  isApplied: (holdings: Holdings) => boolean,
): Promise<number> {
  const holdings = await whenApplied(readSettings(), isApplied)
  if (!holdings) {
    console.error(
      `${request.target.value}: the request waits in the topic decisions, or the ledger refused it: is the pipeline block running ` +
        '(`haetae doctor`, `haetae topics lag`)? The topic audit has a hold_refused with the reason if it was refused',
    )
    return 1
  }
  console.error(`${request.target.value}: ${done}`)
  const hold = holdings.holds.find(({ uid }) => uid === request.uid)
  if (hold) console.log(render([rowOf(hold)], HOLD_COLUMNS, 'table'))
  return 0
}

/** Says at once what the ledger would refuse later. */
async function demandAllowed(cidr: Cidr): Promise<void> {
  const list = new NeverBlock(process.env['HAETAE_NEVER_BLOCK'] || shippedNeverBlock)
  await list.load()
  const objection = list.guard.objection(cidr)
  if (objection)
    throw new HaetaeError('USAGE', `${formatCidr(cidr)} is never blocked: ${objection.reason}: ${objection.detail}`)
}

function networkOf(text: string): Cidr {
  const cidr = parseCidr(text)
  if (!cidr) throw new HaetaeError('USAGE', `${text} is no address and no network (bits behind the prefix must be 0)`)
  return cidr
}

function targetOf(cidr: Cidr): DecisionRequest['target'] {
  const text = formatCidr(cidr)
  const single = cidr.prefixLength === (cidr.address.family === 4 ? 32 : 128)
  return single ? { type: 'address', value: text.slice(0, text.indexOf('/')) } : { type: 'network', value: text }
}

/** Where else to look: a network is held and let go as a whole. */
async function elsewhere(target: string): Promise<string> {
  const cidr = parseCidr(target)
  const { holds } = cidr ? await readHoldings(readSettings()) : { holds: [] }
  const around = holds.filter(hold => isLive(hold) && cidrsOverlap(parseCidr(hold.cidr)!, cidr!))
  if (around.length === 0) return 'haetae decisions list shows them'
  return `what is held is ${[...new Set(around.map(hold => hold.target.value))].slice(0, 5).join(', ')}: name that`
}

/** Holds on exactly this network (an IPv6 address: on its /64), or whose id begins so. */
function meant({ holds }: Holdings, target: string): readonly Hold[] {
  const cidr = parseCidr(target)
  if (!cidr) {
    if (!/^[0-9a-f]{4,32}$/.test(target))
      throw new HaetaeError('USAGE', `${target} is no address, no network and no id of a hold`)
    const found = holds.filter(({ uid }) => uid.startsWith(target))
    if (found.length > 1) throw new HaetaeError('USAGE', `${target} begins ${found.length} ids: name more of it`)
    return found
  }
  const subscriber = cidr.address.family === 6 && cidr.prefixLength === 128 ? clientPrefix(cidr.address) : undefined
  return holds.filter(hold => hold.cidr === formatCidr(cidr) || hold.cidr === subscriber)
}

export function rowOf(hold: Hold): Row {
  const { uid, target, state, untilMs, rule = '', reason, who, step, alertUids, applied, dryRun } = hold
  return {
    target: target.value,
    state,
    until: timeOf(untilMs),
    left: isLive(hold) ? formatDuration(untilMs - systemClock.now()) : '',
    rule,
    reason: reason.slice(0, 60),
    who,
    step,
    alerts: alertUids.length,
    in_waf: applied.map(({ place }) => place).join(' ') || 'not yet',
    dry_run: dryRun,
    id: uid.slice(0, ID_CHARS),
  }
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
