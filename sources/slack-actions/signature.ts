import { createHmac, timingSafeEqual } from 'node:crypto'

const AGE_MS_MAX = 5 * 60_000

/**
 * Whether Slack sent these bytes, and just now: HMAC-SHA256 over `v0:<timestamp>:<raw body>` with the signing secret, the
 * timestamp within 5 minutes (docs.slack.dev, Verifying requests from Slack). Undefined when so, else why not.
 */
export function signatureProblem(
  body: Buffer,
  given: { readonly timestamp: string | undefined; readonly signature: string | undefined },
  secret: string,
  nowMs: number,
): 'unsigned' | 'stale' | 'forged' | undefined {
  const { timestamp, signature } = given
  if (timestamp === undefined || signature === undefined || !/^\d{1,12}$/.test(timestamp)) return 'unsigned'
  const expected = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest()
  const sent = Buffer.from(/^v0=([0-9a-f]{64})$/.exec(signature)?.[1] ?? '', 'hex')
  if (sent.length !== expected.length || !timingSafeEqual(sent, expected)) return 'forged'
  return Math.abs(nowMs - Number(timestamp) * 1000) > AGE_MS_MAX ? 'stale' : undefined
}
