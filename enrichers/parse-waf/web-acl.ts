import { F } from './fields.ts'
import { isAt, type Quoted, quotedOf } from './quoted.ts'
import type { WafRecord } from './record.ts'

/** What the name of a web ACL gives every event of it, as JSON members each behind a comma (byte strings). */
export interface WebAcl {
  /** The name itself, quoted as in the record. */
  readonly quoted: Quoted
  /** OCSF cloud. */
  readonly cloud: string
  /** OCSF product feature. */
  readonly feature: string
}

/** What may become part of a path, a key or a partition. */
const pathSafe = /^[A-Za-z0-9-]{1,32}$/

const none: WebAcl = { quoted: quotedOf(Buffer.alloc(0)), cloud: cloudOf(''), feature: '' }

/** Web ACLs met lately: an account has a handful, and their names are long. */
const SLOTS = 64
const slots: WebAcl[] = new Array<WebAcl>(SLOTS).fill(none)

export function webAclOf({ at, document }: WafRecord): WebAcl {
  const entry = at[F.webaclId]!
  if (entry === 0) return none
  const { bytes } = document
  const from = document.from(entry)
  const to = document.to(entry)
  if (document.isReplaced(entry)) return render(none.quoted, document.text(entry))
  const slot = (to - from + bytes[to - 2]! * 7 + bytes[to - 3]! * 31) % SLOTS
  if (!isAt(slots[slot]!.quoted, document, from, to)) {
    slots[slot] = render(quotedOf(bytes.subarray(from, to)), document.text(entry))
  }
  return slots[slot]!
}

function render(quoted: Quoted, name: string): WebAcl {
  const feature = `,"feature":${JSON.stringify({ name: 'webacl', uid: name })}`
  return { quoted, cloud: cloudOf(name), feature: Buffer.from(feature).toString('latin1') }
}

/** From arn:aws:wafv2:<region>:<account>:… ; WAF Classic has a bare id without either. */
function cloudOf(name: string): string {
  const [arn, , , region = '', account = ''] = name.split(':', 6)
  const safe = (text: string): string => (arn === 'arn' && pathSafe.test(text) ? text : 'unknown')
  const cloud = {
    provider: 'AWS',
    region: safe(region),
    account: { uid: safe(account), type_id: 10, type: 'AWS Account' },
  }
  return `,"cloud":${JSON.stringify(cloud)}`
}
