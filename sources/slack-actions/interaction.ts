import { z } from 'zod'
import { formatAddress, formatCidr, parseAddress, parseCidr } from '../../platform/address.ts'

const ADDRESSES_MAX = 50
/** Buttons that say something of an incident, and those that ask for a change of its blocks. */
export const sayings = ['acknowledge', 'false_positive', 'snooze', 'helpful', 'not_helpful'] as const
const pressed = [...sayings, 'unblock', 'extend'] as const

/** Somebody pressed a button of a message, or sent the form that `unblock` opens. */
export type Interaction =
  | (Common & {
      readonly what: (typeof pressed)[number]
      readonly triggerId: string
      readonly channel: string
      readonly addresses: readonly string[]
      /** How many are blocked; not all of them fit into a button. */
      readonly blocked: number
    })
  | (Common & {
      readonly what: 'release'
      readonly addresses: readonly string[]
      readonly reason: string
      /** Not to be blocked again for a day. */
      readonly allow: boolean
      readonly typed: string
    })

interface Common {
  readonly user: { readonly id: string; readonly name: string }
  readonly incident: { readonly uid: string; readonly number: number }
  /** The same when the same press is delivered again. */
  readonly id: string
}

const user = z.object({
  id: z.string().regex(/^[UW][A-Z0-9]{2,20}$/),
  username: z.string().optional(),
  name: z.string().optional(),
})
const incident = z.object({ i: z.string().min(1).max(64), n: z.int().min(0) })
const buttonValue = incident.extend({ a: z.array(z.string()).max(ADDRESSES_MAX), t: z.int().min(0).default(0) })

const press = z.object({
  type: z.literal('block_actions'),
  user,
  trigger_id: z.string().max(200),
  channel: z.object({ id: z.string().max(32) }),
  actions: z
    .array(z.object({ action_id: z.string(), value: z.string().max(2_000).optional(), action_ts: z.string().max(40) }))
    .min(1),
})

const option = z.object({ value: z.string().max(80) })
const submission = z.object({
  type: z.literal('view_submission'),
  user,
  view: z.object({
    id: z.string().max(64),
    callback_id: z.literal('unblock'),
    private_metadata: z.string().max(3_000),
    state: z.object({
      values: z.object({
        addresses: z.object({ addresses: z.object({ selected_options: z.array(option).max(ADDRESSES_MAX) }) }),
        reason: z.object({ reason: z.object({ selected_option: option.nullable() }) }),
        allow: z.object({ allow: z.object({ selected_options: z.array(option).optional() }) }).optional(),
        typed: z.object({ typed: z.object({ value: z.string().max(200).nullable() }) }).optional(),
      }),
    }),
  }),
})

/** What `payload` of a request says; undefined for what is none of ours, such as a button that only opens a link. */
export function readInteraction(payload: string): Interaction | undefined {
  const json = parsed(payload)
  const asPress = press.safeParse(json).data
  if (asPress) return readPress(asPress)
  const asSubmission = submission.safeParse(json).data
  return asSubmission && readSubmission(asSubmission)
}

function readPress({ user: by, trigger_id, channel, actions }: z.output<typeof press>): Interaction | undefined {
  const [action] = actions
  const what = pressed.find(each => each === action?.action_id)
  const value = buttonValue.safeParse(parsed(action?.value ?? '')).data
  if (!what || !value || !action) return undefined
  return {
    what,
    user: personOf(by),
    incident: { uid: value.i, number: value.n },
    id: `${by.id} ${action.action_ts}`,
    triggerId: trigger_id,
    channel: channel.id,
    addresses: canonical(value.a),
    blocked: value.t,
  }
}

function readSubmission({ user: by, view }: z.output<typeof submission>): Interaction | undefined {
  const of = incident.safeParse(parsed(view.private_metadata)).data
  if (!of) return undefined
  const { addresses, reason, allow, typed } = view.state.values
  return {
    what: 'release',
    user: personOf(by),
    incident: { uid: of.i, number: of.n },
    id: view.id,
    addresses: canonical(addresses.addresses.selected_options.map(({ value }) => value)),
    reason: reason.reason.selected_option?.value ?? 'other',
    allow: (allow?.allow.selected_options ?? []).length > 0,
    typed: typed?.typed.value ?? '',
  }
}

function personOf({ id, username, name }: z.output<typeof user>): { id: string; name: string } {
  return { id, name: (username ?? name ?? id).slice(0, 100) }
}

/** Only addresses and networks, each as we write it. */
function canonical(texts: readonly string[]): string[] {
  return texts.flatMap(text => {
    const address = parseAddress(text)
    const network = address ? undefined : parseCidr(text)
    return address ? [formatAddress(address)] : network ? [formatCidr(network)] : []
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
