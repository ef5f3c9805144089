import type { View } from '@slack/web-api'
import type { Interaction } from './interaction.ts'

/** More addresses at once, and the number of the incident must be typed. */
const TYPED_FROM = 11

export const formLanguages = ['ko', 'en'] as const
export type FormLanguage = (typeof formLanguages)[number]

const words = {
  ko: {
    title: '차단 해제',
    submit: '해제',
    cancel: '취소',
    addresses: '해제할 IP',
    rest: (count: number) => `그 외 ${count}개는 haetae decisions list 와 delete 로`,
    reason: '이유',
    reasons: { customer: '고객', false_positive: '오탐', test: '테스트', other: '기타' },
    allow: '재차단 방지',
    allowFor: '24시간 동안 다시 차단하지 않음',
    typed: (name: string) => `10개를 넘으면 ${name} 을(를) 입력`,
    mustType: (name: string) => `IP가 10개를 넘습니다. ${name} 을(를) 그대로 입력하세요.`,
    noAddress: 'IP를 하나 이상 고르세요.',
    forbidden: '이 작업을 할 권한이 없습니다. 담당 그룹에 요청하세요.',
    nothing: '이 인시던트에는 해제할 IP가 없습니다.',
    late: '저장하지 못했습니다. 잠시 후 다시 시도하세요.',
  },
  en: {
    title: 'Unblock',
    submit: 'Unblock',
    cancel: 'Cancel',
    addresses: 'Addresses to unblock',
    rest: (count: number) => `${count} more: haetae decisions list, and delete`,
    reason: 'Reason',
    reasons: { customer: 'A customer', false_positive: 'False positive', test: 'Test', other: 'Other' },
    allow: 'Not again',
    allowFor: 'Do not block again for 24 hours',
    typed: (name: string) => `For more than 10, type ${name}`,
    mustType: (name: string) => `More than 10 addresses: type ${name} as it stands.`,
    noAddress: 'Choose at least one address.',
    forbidden: 'You are not allowed to do this. Ask the group that is.',
    nothing: 'This incident has no address to unblock.',
    late: 'It could not be stored. Try again in a moment.',
  },
} as const

export const wordsFor = (language: FormLanguage) => words[language]

/** The form in which people say which addresses are let go, and why. */
export function unblockForm(interaction: Extract<Interaction, { triggerId: string }>, language: FormLanguage): View {
  const say = words[language]
  const { addresses, incident, blocked } = interaction
  const rest = blocked - addresses.length
  const text = (value: string) => ({ type: 'plain_text' as const, text: value, emoji: false })
  const options = addresses.map(address => ({ text: text(address), value: address }))
  const element = {
    type: 'multi_static_select' as const,
    action_id: 'addresses',
    options,
    ...(options.length === 1 ? { initial_options: options } : {}),
  }
  const reasons = Object.entries(say.reasons).map(([value, label]) => ({ text: text(label), value }))
  return {
    type: 'modal',
    callback_id: 'unblock',
    private_metadata: JSON.stringify({ i: incident.uid, n: incident.number }),
    title: text(say.title),
    submit: text(say.submit),
    close: text(say.cancel),
    blocks: [
      {
        type: 'input',
        block_id: 'addresses',
        label: text(say.addresses),
        element,
        ...(rest > 0 ? { hint: text(say.rest(rest)) } : {}),
      },
      {
        type: 'input',
        block_id: 'reason',
        label: text(say.reason),
        element: { type: 'static_select', action_id: 'reason', options: reasons },
      },
      {
        type: 'input',
        block_id: 'allow',
        optional: true,
        label: text(say.allow),
        element: { type: 'checkboxes', action_id: 'allow', options: [{ text: text(say.allowFor), value: 'allow' }] },
      },
      ...(addresses.length >= TYPED_FROM
        ? [
            {
              type: 'input' as const,
              block_id: 'typed',
              optional: true,
              label: text(say.typed(nameOf(interaction))),
              element: { type: 'plain_text_input' as const, action_id: 'typed', max_length: 40 },
            },
          ]
        : []),
    ],
  }
}

/** What is wrong with a form that was sent, by the field it is shown at; undefined when it can be done. */
export function formProblem(
  interaction: Extract<Interaction, { what: 'release' }>,
  language: FormLanguage,
): Readonly<Record<string, string>> | undefined {
  const say = words[language]
  const { addresses, typed } = interaction
  if (addresses.length === 0) return { addresses: say.noAddress }
  if (addresses.length >= TYPED_FROM && typed.trim().toUpperCase() !== nameOf(interaction)) {
    return { typed: say.mustType(nameOf(interaction)) }
  }
  return undefined
}

function nameOf({ incident }: Interaction): string {
  return `INC-${incident.number}`
}
