/**
 * Why a rule does not run: the closed list. Operators see these words in `haetae rules list`, in docs/detections.md and as a
 * metric label.
 */
export const refusals = {
  unreadable: 'the file is not YAML, or larger than a rule may be',
  invalid: 'it does not follow the Sigma specification',
  document: 'it is a filter or a collection, or its author gave it up',
  logsource: 'it is about another log than web requests, GuardDuty or Falco',
  field: 'it names a field that neither Sigma’s webserver taxonomy nor the event has',
  absent: 'without a field that AWS WAF never logs it cannot decide',
  modifier: 'it uses a modifier that this engine does not have',
  condition: 'its condition counts or aggregates, as Sigma did before correlations',
  pattern: 'its regular expression needs more than a linear-time engine can do',
  bounds: 'it has more values, or deeper ones, than a rule may have',
  duplicate: 'another rule has the same id or name',
  reference: 'it correlates a rule that is not there, or does not run',
  correlation: 'it correlates in a way that this engine does not run',
  window: 'whether its condition holds is only known when the time span is over: lt, lte, eq, neq',
} as const
export type RefusalReason = keyof typeof refusals

/** Of these its author has to mend the rule; what the others say is that this engine does not run it. */
export const brokenReasons: readonly RefusalReason[] = ['unreadable', 'invalid', 'duplicate']

/** Thrown while a rule is read; `path` leads to the place in its YAML document. */
export class Refused extends Error {
  readonly reason: RefusalReason
  readonly path: readonly PropertyKey[]
  constructor(reason: RefusalReason, message: string, path: readonly PropertyKey[] = []) {
    super(message)
    this.name = 'Refused'
    this.reason = reason
    this.path = path
  }
}
