import type { Grouping } from '../../../response/incidents/book.ts'

export interface Step {
  readonly uid: string
  readonly actor: string
  readonly class: string
  readonly severity: number
  readonly timeMs: number
  readonly nowMs: number
}

/** One group as the oracle sees it: every alert of it, by id. */
export interface Group {
  kind: 'actor' | 'campaign'
  key: string
  open: boolean
  merged: boolean
  alerts: Step[]
  changedMs: number
}

/** The rules of grouping as one would tell them, without indexes, bounds or memory: everything is found by looking at everything. */
export function groupNaively(steps: readonly Step[], grouping: Grouping, endMs: number): Group[] {
  const groups: Group[] = []
  const quietAt = (group: Group, nowMs: number) => nowMs - group.changedMs > grouping.keepAliveMs
  /** Critical ones are not closed before somebody saw them, and here nobody does. */
  const isUnseen = ({ alerts }: Group) => alerts.some(({ severity }) => severity === 5)
  const waiting = (nowMs: number) => groups.filter(each => each.open && isUnseen(each) && quietAt(each, nowMs))
  const pass = (nowMs: number): void => {
    for (const group of groups) {
      const longEnough = nowMs - group.changedMs > grouping.keepAliveMs + grouping.unseenMsMax
      if (group.open && quietAt(group, nowMs) && (!isUnseen(group) || longEnough)) group.open = false
    }
    const left = waiting(nowMs).sort((a, b) => a.changedMs - b.changedMs || groups.indexOf(a) - groups.indexOf(b))
    for (const group of left.slice(0, Math.max(0, left.length - grouping.openMax))) group.open = false
  }
  const find = (key: string, step: Step): Group | undefined => {
    const group = groups.find(each => each.open && each.key === key)
    if (!group) return undefined
    const newest = Math.max(...group.alerts.map(({ timeMs }) => timeMs))
    const oldest = Math.min(...group.alerts.map(({ timeMs }) => timeMs))
    if (isUnseen(group)) return group
    const over =
      quietAt(group, step.nowMs) ||
      step.timeMs - newest > grouping.keepAliveMs ||
      step.timeMs - oldest > grouping.durationMsMax
    if (over) group.open = false
    return over ? undefined : group
  }
  const open = (kind: Group['kind'], key: string): Group => {
    const group: Group = { kind, key, open: true, merged: false, alerts: [], changedMs: 0 }
    groups.push(group)
    return group
  }
  for (const step of steps) {
    pass(step.nowMs)
    const actor = `address:${step.actor}`
    const full = () => groups.filter(each => each.open).length - waiting(step.nowMs).length >= grouping.openMax
    const group =
      find(`class:${step.class}`, step) ??
      find(actor, step) ??
      (full() ? (find('*', step) ?? open('campaign', '*')) : open('actor', actor))
    group.alerts.push(step)
    group.changedMs = step.nowMs
    if (group.kind !== 'actor') continue
    const doing = groups.filter(
      each => each.open && each.kind === 'actor' && each.alerts.some(alert => alert.class === step.class),
    )
    if (doing.length < grouping.campaignActors) continue
    const campaign = open('campaign', `class:${step.class}`)
    campaign.changedMs = step.nowMs
    for (const each of doing) {
      campaign.alerts.push(...each.alerts)
      each.open = false
      each.merged = true
    }
  }
  pass(endMs)
  return groups
}
