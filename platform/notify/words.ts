import type { TimelineEntry } from '../incident.ts'
import type { BulletinKind } from './notice.ts'

export const languages = ['ko', 'en'] as const
export type Language = (typeof languages)[number]

/** Everything that Haetae itself says in Slack. Numbers come formatted. */
export interface Words {
  readonly severity: readonly string[]
  readonly open: string
  /** Over for now, and open because nobody acknowledged it. */
  readonly quietOpen: string
  readonly closed: string
  readonly merged: string
  readonly campaign: string
  readonly sample: string
  readonly blocking: (count: string, until: string | undefined) => string
  readonly notBlocking: string
  readonly blockedBefore: (count: string) => string
  /** Of what is blocked, what WAF has not acknowledged. */
  readonly waitingForWaf: (count: string) => string
  readonly slowest: (seconds: string) => string
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
  readonly noFalsePositive: string
  readonly mergedInto: string
  readonly snoozedBy: (who: string, until: string) => string
  readonly helpfulBy: (who: string, yes: boolean) => string
  readonly example: (count: string) => string
  readonly runbook: string
  readonly edited: (time: string) => string
  readonly evidence: string
  readonly acknowledge: string
  readonly unblock: string
  readonly more: { readonly falsePositive: string; readonly extend: string; readonly snooze: string }
  readonly wasItHelpful: string
  readonly yes: string
  readonly no: string
  readonly change: Readonly<Partial<Record<TimelineEntry['what'], string>>>
  readonly rolledUp: string
  readonly unanswered: (minutes: string) => string
  readonly storm: (count: string) => string
  readonly stormOver: string
  readonly quiet: (count: string) => string
  readonly storming: string
  readonly rest: (count: string) => string
  readonly expires: (time: string) => string
  readonly took: (seconds: string) => string
  readonly expired: (what: string) => string
  readonly already: (who: string) => string
  readonly notDone: (what: string, why: string) => string
  readonly dryRun: string
  readonly calls: Readonly<Record<'unacknowledged' | 'not_in_slack' | 'over', (minutes: string) => string>>
  readonly bulletins: Readonly<Record<BulletinKind, BulletinWords>>
  /** Of the block budget, which one was reached. */
  readonly limits: Readonly<Record<'minute' | 'hour' | 'network', string>>
  /** Why a person let an address go. */
  readonly reasons: Readonly<Record<'customer' | 'false_positive', string>>
  readonly told: (count: string) => string
  readonly keys: Readonly<Record<'key_disabled' | 'key_failed' | 'key_refused', string>>
}

interface BulletinWords {
  readonly title: string
  /** Said in its place when it is over; undefined for what only gathers. */
  readonly over?: string
  /** What people can do. */
  readonly advice: string
}

const ko: Words = {
  severity: ['', '정보', '낮음', '중간', '높음', '심각'],
  open: '진행 중',
  quietOpen: '조용해짐 · 확인 필요',
  closed: '해결됨',
  merged: '통합됨',
  campaign: '캠페인',
  sample: '표본 데이터',
  blocking: (count, until) => `IP ${count}개 차단 중${until === undefined ? '' : ` (${until}까지)`}`,
  notBlocking: '차단 없음',
  blockedBefore: count => `IP ${count}개를 차단했음`,
  waitingForWaf: count => `${count}개는 WAF 반영 대기`,
  slowest: seconds => `탐지→차단 최대 ${seconds}초`,
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
  noFalsePositive: '오탐 신고 없음',
  mergedInto: '다른 인시던트에 합쳐짐',
  snoozedBy: (who, until) => `${until}까지 알림 멈춤: ${who}`,
  helpfulBy: (who, yes) => (yes ? `도움이 됨: ${who}` : `도움이 안 됨: ${who}`),
  example: count => `표본 1/${count}`,
  runbook: '대응',
  edited: time => `수정 ${time}`,
  evidence: '증거',
  acknowledge: '확인',
  unblock: '차단 해제…',
  more: { falsePositive: '오탐으로 표시', extend: '차단 24시간 연장', snooze: '1시간 조용히' },
  wasItHelpful: '이 알림이 도움이 되었나요?',
  yes: '예',
  no: '아니오',
  change: {
    severity: '심각도 상승',
    target: '새 대상',
    hold_created: '첫 차단',
    hold_released: '차단 해제',
    hold_extended: '차단 연장',
    hold_suspended: '차단 보류: 운영자가 WAF에서 지움',
    waf_failed: 'WAF에 쓸 수 없어 차단이 늦어짐',
    acknowledged: '확인함',
    false_positive: '오탐으로 표시함',
    snoozed: '1시간 조용히',
    quiet: '조용해졌지만 아무도 확인하지 않아 열어 둠',
    closed: '해결됨',
  },
  rolledUp: '이후 변경은 이 스레드에 더 적지 않습니다. 위 메시지가 최신입니다.',
  unanswered: minutes => `심각 인시던트가 ${minutes}분째 확인되지 않았습니다`,
  storm: count => `경보 폭주 · 인시던트 ${count}건을 한 메시지로 모읍니다`,
  stormOver: '경보 폭주 종료',
  quiet: count => `야간 요약 · 중간 인시던트 ${count}건`,
  storming: '진행 중',
  rest: count => `그 외 ${count}건은 OpenSearch와 \`haetae incidents list\`에 있습니다`,
  expires: time => `만료 ${time}`,
  took: seconds => `${seconds}초 만에`,
  expired: what => (what === '' ? '이미 만료됨' : `이미 만료됨: ${what}`),
  already: who => `이미 처리됨: ${who}`,
  notDone: (what, why) => `하지 않았습니다: ${what} (${why})`,
  dryRun: '시험 모드',
  calls: {
    unacknowledged: minutes => `${minutes}분째 아무도 확인하지 않음`,
    not_in_slack: minutes => `${minutes}분째 Slack에 올리지 못함`,
    over: () => '확인되었거나 끝남',
  },
  bulletins: {
    budget: {
      title: '차단 예산 초과 · 자동 차단이 멈췄습니다',
      over: '자동 차단을 다시 시작했습니다',
      advice:
        '차단 목록(`haetae decisions list`)이 맞는지 본 뒤 `haetae decisions resume --reason 이유`로 다시 시작하세요. 걸려 있는 차단은 그대로입니다.',
    },
    waf: {
      title: 'WAF에 쓸 수 없음 · 새 차단이 적용되지 않습니다',
      over: 'WAF에 다시 씁니다',
      advice: '권한, 할당량, IP 세트를 확인하세요. 고치면 30초 안에 이어서 씁니다.',
    },
    ledger: {
      title: '차단 원장이 가득 참 · 새 차단을 받지 않습니다',
      advice: '필요 없는 차단을 `haetae decisions delete`로 풀거나 holdsMax를 늘리세요.',
    },
    keys: {
      title: '유출된 액세스 키',
      advice: '비활성화된 키는 새 키로 바꾸세요. 비활성화되지 않은 키는 지금 IAM에서 직접 끄세요.',
    },
    customer: {
      title: '고객 오탐 · 잘못 막은 IP가 있습니다',
      advice: '규칙을 고치거나 그 IP를 차단 제외 목록(HAETAE_NEVER_BLOCK)에 넣으세요.',
    },
    operator: {
      title: '운영자가 WAF에서 차단을 지움',
      advice: '그 차단은 보류되었고 다시 걸리지 않습니다. 다시 걸려면 `haetae decisions extend`를 쓰세요.',
    },
    pipeline: {
      title: '파이프라인이 사람을 기다립니다',
      over: '파이프라인이 다시 돕니다',
      advice: '상태 페이지와 `haetae doctor`가 자세히 알려 줍니다.',
    },
  },
  limits: {
    minute: '1분 동안의 한도에 이르렀습니다',
    hour: '1시간 동안의 한도에 이르렀습니다',
    network: '한 네트워크(AS)에 대한 1시간 한도에 이르렀습니다',
  },
  reasons: { customer: '고객', false_positive: '오탐' },
  told: count => `${count}건`,
  keys: { key_disabled: '비활성화함', key_failed: '비활성화 실패', key_refused: '비활성화하지 않음' },
}

const en: Words = {
  severity: ['', 'Info', 'Low', 'Medium', 'High', 'Critical'],
  open: 'ongoing',
  quietOpen: 'quiet now, not acknowledged',
  closed: 'resolved',
  merged: 'merged',
  campaign: 'campaign',
  sample: 'sample data',
  blocking: (count, until) =>
    `${count === '1' ? '1 address' : `${count} addresses`} blocked${until === undefined ? '' : ` (until ${until})`}`,
  notBlocking: 'nothing blocked',
  blockedBefore: count => (count === '1' ? '1 address was blocked' : `${count} addresses were blocked`),
  waitingForWaf: count => `${count} not in the WAF yet`,
  slowest: seconds => `each within ${seconds} s`,
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
  noFalsePositive: 'no false positive reported',
  mergedInto: 'merged into another incident',
  snoozedBy: (who, until) => `snoozed until ${until}: ${who}`,
  helpfulBy: (who, yes) => (yes ? `helpful: ${who}` : `not helpful: ${who}`),
  example: count => `1 of ${count}`,
  runbook: 'What to do',
  edited: time => `edited ${time}`,
  evidence: 'Evidence',
  acknowledge: 'Acknowledge',
  unblock: 'Unblock…',
  more: { falsePositive: 'Mark as false positive', extend: 'Extend blocks by 24 h', snooze: 'Snooze for 1 h' },
  wasItHelpful: 'Was this helpful?',
  yes: 'Yes',
  no: 'No',
  change: {
    severity: 'Severity rose',
    target: 'New target',
    hold_created: 'First block',
    hold_released: 'Unblocked',
    hold_extended: 'Block extended',
    hold_suspended: 'Block suspended: an operator removed it from the WAF',
    waf_failed: 'The WAF cannot be written, blocks wait',
    acknowledged: 'Acknowledged',
    false_positive: 'Marked as false positive',
    snoozed: 'Snoozed for 1 h',
    quiet: 'Quiet, and kept open because nobody acknowledged it',
    closed: 'Resolved',
  },
  rolledUp: 'Further changes are not written to this thread. The message above is up to date.',
  unanswered: minutes => `A critical incident is not acknowledged for ${minutes} min`,
  storm: count => `Alert storm · ${count} incidents in one message`,
  stormOver: 'Alert storm over',
  quiet: count => `Overnight · ${count} medium incidents`,
  storming: 'ongoing',
  rest: count => `${count} more are in OpenSearch and in \`haetae incidents list\``,
  expires: time => `until ${time}`,
  took: seconds => `in ${seconds} s`,
  expired: what => (what === '' ? 'already expired' : `already expired: ${what}`),
  already: who => `already done by ${who}`,
  notDone: (what, why) => `not done: ${what} (${why})`,
  dryRun: 'dry run',
  calls: {
    unacknowledged: minutes => `nobody has acknowledged it for ${minutes} min`,
    not_in_slack: minutes => `not in Slack after ${minutes} min`,
    over: () => 'somebody has seen it, or it is over',
  },
  bulletins: {
    budget: {
      title: 'Block budget tripped · nothing more is blocked automatically',
      over: 'Automatic blocking goes on',
      advice:
        'See whether the blocks are right (`haetae decisions list`), then `haetae decisions resume --reason TEXT`. Blocks that are there stay.',
    },
    waf: {
      title: 'The WAF cannot be written · new blocks take no effect',
      over: 'The WAF is written again',
      advice: 'Look at permissions, quota and IP sets. Once mended it goes on within 30 s.',
    },
    ledger: {
      title: 'The ledger of blocks is full · it takes no new ones',
      advice: 'Release what is not needed with `haetae decisions delete`, or raise holdsMax.',
    },
    keys: {
      title: 'Leaked access key',
      advice: 'Replace a disabled key by a new one. Disable by hand in IAM, now, one that is not.',
    },
    customer: {
      title: 'False positive on a customer · an address was blocked wrongly',
      advice: 'Mend the rule, or put the address on the never-block list (HAETAE_NEVER_BLOCK).',
    },
    operator: {
      title: 'An operator removed a block from the WAF',
      advice: 'That block is suspended and does not come back. To bring it back: `haetae decisions extend`.',
    },
    pipeline: {
      title: 'A pipeline waits for a person',
      over: 'The pipeline goes on',
      advice: 'The status page and `haetae doctor` say more.',
    },
  },
  limits: {
    minute: 'the limit for a minute was reached',
    hour: 'the limit for an hour was reached',
    network: 'the limit for an hour of one network (AS) was reached',
  },
  reasons: { customer: 'a customer', false_positive: 'a false positive' },
  told: count => (count === '1' ? '1 event' : `${count} events`),
  keys: { key_disabled: 'disabled', key_failed: 'could not be disabled', key_refused: 'not disabled' },
}

export const wordsOf: Readonly<Record<Language, Words>> = { ko, en }
