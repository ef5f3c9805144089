import type { TimelineEntry } from '../../platform/incident.ts'

export const languages = ['ko', 'en'] as const
export type Language = (typeof languages)[number]

/** Everything that Haetae itself says in Slack. Numbers come formatted. */
export interface Words {
  readonly severity: readonly string[]
  readonly open: string
  readonly closed: string
  readonly merged: string
  readonly campaign: string
  readonly sample: string
  readonly blocking: (count: string, until: string | undefined) => string
  readonly notBlocking: string
  readonly blockedBefore: (count: string) => string
  readonly alerts: (count: string) => string
  readonly addresses: (count: string, about: boolean) => string
  readonly duration: (minutes: string) => string
  readonly target: string
  readonly from: string
  readonly times: string
  readonly rules: string
  readonly others: (count: string) => string
  readonly acknowledgedBy: (who: string) => string
  readonly falsePositiveBy: (who: string) => string
  readonly mergedInto: string
  readonly edited: (time: string) => string
  readonly evidence: string
  readonly acknowledge: string
  readonly unblock: string
  readonly more: { readonly falsePositive: string; readonly extend: string }
  readonly change: Readonly<Partial<Record<TimelineEntry['what'], string>>>
  readonly rolledUp: string
  readonly unanswered: (minutes: string) => string
  readonly storm: (count: string) => string
  readonly stormOver: string
  readonly quiet: (count: string) => string
  readonly storming: string
  readonly rest: (count: string) => string
}

const ko: Words = {
  severity: ['', '정보', '낮음', '중간', '높음', '심각'],
  open: '진행 중',
  closed: '해결됨',
  merged: '통합됨',
  campaign: '캠페인',
  sample: '표본 데이터',
  blocking: (count, until) => `${count}개 차단 중${until === undefined ? '' : ` (${until}까지)`}`,
  notBlocking: '차단 없음',
  blockedBefore: count => `${count}개 차단했음`,
  alerts: count => `경보 ${count}건`,
  addresses: (count, about) => `IP ${about ? '약 ' : ''}${count}개`,
  duration: minutes => `${minutes}분간`,
  target: '대상',
  from: '출처',
  times: '시작 / 최근',
  rules: '규칙',
  others: count => `외 ${count}`,
  acknowledgedBy: who => `확인: ${who}`,
  falsePositiveBy: who => `오탐 표시: ${who}`,
  mergedInto: '다른 인시던트에 합쳐짐',
  edited: time => `수정 ${time}`,
  evidence: '증거',
  acknowledge: '확인',
  unblock: '차단 해제…',
  more: { falsePositive: '오탐으로 표시', extend: '차단 24시간 연장' },
  change: {
    severity: '심각도 상승',
    target: '새 대상',
    hold_created: '첫 차단',
    hold_released: '차단 해제',
    hold_extended: '차단 연장',
    hold_suspended: '차단 보류: 운영자가 WAF에서 지움',
    waf_failed: 'WAF 차단 실패',
    acknowledged: '확인함',
    false_positive: '오탐으로 표시함',
    closed: '해결됨',
  },
  rolledUp: '이후 변경은 이 스레드에 더 적지 않습니다. 위 메시지가 최신입니다.',
  unanswered: minutes => `심각 인시던트가 ${minutes}분째 확인되지 않았습니다`,
  storm: count => `경보 폭주 · 인시던트 ${count}건을 한 메시지로 모읍니다`,
  stormOver: '경보 폭주 종료',
  quiet: count => `야간 요약 · 중간 인시던트 ${count}건`,
  storming: '진행 중',
  rest: count => `그 외 ${count}건은 콘솔과 OpenSearch에 있습니다`,
}

const en: Words = {
  severity: ['', 'Info', 'Low', 'Medium', 'High', 'Critical'],
  open: 'ongoing',
  closed: 'resolved',
  merged: 'merged',
  campaign: 'campaign',
  sample: 'sample data',
  blocking: (count, until) => `${count} blocked${until === undefined ? '' : ` (until ${until})`}`,
  notBlocking: 'nothing blocked',
  blockedBefore: count => `${count} were blocked`,
  alerts: count => (count === '1' ? '1 alert' : `${count} alerts`),
  addresses: (count, about) => (count === '1' ? '1 address' : `${about ? 'about ' : ''}${count} addresses`),
  duration: minutes => `for ${minutes} min`,
  target: 'Target',
  from: 'From',
  times: 'Began / last',
  rules: 'Rules',
  others: count => `and ${count} more`,
  acknowledgedBy: who => `acknowledged: ${who}`,
  falsePositiveBy: who => `marked false positive: ${who}`,
  mergedInto: 'merged into another incident',
  edited: time => `edited ${time}`,
  evidence: 'Evidence',
  acknowledge: 'Acknowledge',
  unblock: 'Unblock…',
  more: { falsePositive: 'Mark as false positive', extend: 'Extend blocks by 24 h' },
  change: {
    severity: 'Severity rose',
    target: 'New target',
    hold_created: 'First block',
    hold_released: 'Unblocked',
    hold_extended: 'Block extended',
    hold_suspended: 'Block suspended: an operator removed it from the WAF',
    waf_failed: 'Blocking in the WAF failed',
    acknowledged: 'Acknowledged',
    false_positive: 'Marked as false positive',
    closed: 'Resolved',
  },
  rolledUp: 'Further changes are not written to this thread. The message above is up to date.',
  unanswered: minutes => `A critical incident is not acknowledged for ${minutes} min`,
  storm: count => `Alert storm · ${count} incidents in one message`,
  stormOver: 'Alert storm over',
  quiet: count => `Overnight · ${count} medium incidents`,
  storming: 'ongoing',
  rest: count => `${count} more are in the console and in OpenSearch`,
}

export const wordsOf: Readonly<Record<Language, Words>> = { ko, en }
