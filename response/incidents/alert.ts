import { z } from 'zod'
import { stableId } from '../../platform/stable-id.ts'

/** An alert (OCSF Detection Finding 2004, as `detections/sigma/alert.ts` writes it) reduced to what an incident keeps of it. */
export interface AlertFacts {
  /** 32 hex digits: that of the alert, or a hash of a foreign one. */
  readonly uid: string
  readonly timeMs: number
  readonly rule: string
  readonly title: string
  readonly severity: number
  readonly actor: { readonly type: string; readonly value: string }
  /** What is done: the MITRE technique, or the rule when it names none. */
  readonly class: string
  readonly address: string | undefined
  readonly target: string | undefined
  readonly country: string | undefined
  readonly network: string | undefined
  readonly example: { method?: string; path?: string; user_agent?: string; rule?: string } | undefined
  readonly runbook: string | undefined
  readonly sample: boolean
}

const word = z.string().optional().catch(undefined)
const evidence = z
  .object({
    src_endpoint: z
      .object({
        ip: word,
        location: z.object({ country: word }).optional().catch(undefined),
        autonomous_system: z
          .object({ name: word, number: z.number().optional().catch(undefined) })
          .optional()
          .catch(undefined),
      })
      .optional()
      .catch(undefined),
    dst_endpoint: z.object({ hostname: word }).optional().catch(undefined),
    http_request: z
      .object({
        http_method: word,
        user_agent: word,
        url: z.object({ hostname: word, path: word }).optional().catch(undefined),
      })
      .optional()
      .catch(undefined),
    data: z.object({ rule: word }).optional().catch(undefined),
  })
  .catch({})

const alertShape = z.object({
  time: z.int().min(0),
  severity_id: z.int().catch(1),
  metadata: z.object({ uid: z.string().min(1), labels: z.array(z.string()).optional().catch(undefined) }),
  finding_info: z.object({
    title: word,
    analytic: z
      .object({ uid: z.string().min(1), name: word })
      .optional()
      .catch(undefined),
    attacks: z
      .array(z.object({ technique: z.object({ uid: word }).optional() }))
      .optional()
      .catch(undefined),
  }),
  evidences: z.array(evidence).optional().catch(undefined),
  resources: z
    .array(z.object({ uid: word }))
    .optional()
    .catch(undefined),
  remediation: z.object({ desc: word }).optional().catch(undefined),
  unmapped: z
    .object({
      haetae: z
        .object({
          actor: z.object({ type: z.string().min(1), value: z.string().min(1) }).optional(),
          sample: z.boolean().optional(),
        })
        .optional()
        .catch(undefined),
    })
    .optional()
    .catch(undefined),
})

/** Undefined for what is no alert. Long texts are cut: everything in it may have been written by an attacker. */
export function alertFacts(body: unknown): AlertFacts | undefined {
  const { data } = alertShape.safeParse(body)
  if (!data) return undefined
  const { finding_info: info, evidences, unmapped } = data
  const first = evidences?.[0] ?? {}
  const { src_endpoint: source, http_request: request } = first
  const rule = cut(info.analytic?.uid ?? info.title ?? 'unknown', 128)
  const title = cut(info.analytic?.name ?? info.title ?? rule, 128)
  const address = source?.ip && cut(source.ip, 64)
  const resource = data.resources?.[0]?.uid
  const actor = unmapped?.haetae?.actor ?? fallbackActor(address, resource, rule)
  const target = request?.url?.hostname ?? first.dst_endpoint?.hostname ?? (address ? undefined : resource)
  const system = source?.autonomous_system
  return {
    uid: idOf(data.metadata.uid),
    timeMs: data.time,
    rule,
    title,
    severity: Math.min(5, Math.max(1, data.severity_id)),
    actor: { type: cut(actor.type, 32), value: cut(actor.value, 256) },
    class: cut(
      info.attacks?.find(({ technique }) => technique?.uid)?.technique?.uid ??
        techniqueIn(data.metadata.labels ?? []) ??
        rule,
      128,
    ),
    address,
    target: target === undefined ? undefined : cut(target, 128),
    country: source?.location?.country && cut(source.location.country, 8),
    network: system?.number === undefined ? undefined : cut(`AS${system.number} ${system.name ?? ''}`.trim(), 80),
    example: request && exampleOf(request, first.data?.rule),
    runbook: data.remediation?.desc && cut(data.remediation.desc, 1024),
    sample: unmapped?.haetae?.sample ?? false,
  }
}

function fallbackActor(address: string | undefined, resource: string | undefined, rule: string) {
  if (address) return { type: 'address', value: address }
  return resource ? { type: 'resource', value: resource } : { type: 'rule', value: rule }
}

function exampleOf(
  request: {
    http_method?: string | undefined
    user_agent?: string | undefined
    url?: { path?: string | undefined } | undefined
  },
  rule: string | undefined,
): AlertFacts['example'] {
  return {
    ...(request.http_method ? { method: cut(request.http_method, 32) } : {}),
    ...(request.url?.path ? { path: cut(request.url.path, 512) } : {}),
    ...(request.user_agent ? { user_agent: cut(request.user_agent, 256) } : {}),
    ...(rule ? { rule: cut(rule, 256) } : {}),
  }
}

/** Sigma's tag `attack.t1110.003` as MITRE writes the technique: T1110. */
function techniqueIn(labels: readonly string[]): string | undefined {
  const tag = labels.find(label => /^attack\.t\d{4}(\.\d{3})?$/.test(label))
  return tag?.slice('attack.'.length, 'attack.t1110'.length).toUpperCase()
}

/** Ids are 32 hex digits; what another system calls an id is hashed to one. */
export function idOf(uid: string): string {
  return /^[0-9a-f]{32}$/.test(uid) ? uid : stableId(uid)
}

/** At most so many characters on one line; never in the middle of a surrogate pair. */
export function cut(text: string, charsMax: number): string {
  return text.slice(0, charsMax).replace(CONTROLS, ' ').toWellFormed()
}

const CONTROLS = /\p{Cc}/gu
