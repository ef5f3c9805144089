import { createHash, createHmac } from 'node:crypto'
import { defaultProvider } from '@aws-sdk/credential-provider-node'
import type { Clock } from '../../clock.ts'

/**
 * Amazon MSK takes an OAUTHBEARER token that is a presigned request, Signature Version 4 in the query, base64url:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, service `kafka-cluster`;
 * its form is that of aws-msk-iam-sasl-signer. That package is not used, as it brings an outdated signer along.
 */
interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

const SERVICE = 'kafka-cluster'
const LIFETIME_SECONDS = 900
const USER_AGENT = 'haetae'

/** Gives a fresh token for each connection, by the credentials that the AWS SDK finds (environment, profile, pod, machine). */
export function mskToken(region: string, clock: Clock): () => Promise<string> {
  const credentials = defaultProvider()
  return async () => signToken(region, await credentials(), new Date(clock.now()))
}

export function signToken(
  region: string,
  { accessKeyId, secretAccessKey, sessionToken }: Credentials,
  now: Date,
): string {
  const host = `kafka.${region}.amazonaws.com`
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, '') // 20261124T081500Z
  const scope = `${time.slice(0, 8)}/${region}/${SERVICE}/aws4_request`
  const query = {
    Action: 'kafka-cluster:Connect',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${accessKeyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': String(LIFETIME_SECONDS),
    ...(sessionToken ? { 'X-Amz-Security-Token': sessionToken } : {}),
    'X-Amz-SignedHeaders': 'host',
  }
  const canonicalQuery = Object.entries(query)
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .sort()
    .join('&')
  const canonical = ['GET', '/', canonicalQuery, `host:${host}`, '', 'host', sha256('')].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  const key = scope.split('/').reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`)
  const signature = hmac(key, toSign).toString('hex')
  const url = `https://${host}/?${canonicalQuery}&X-Amz-Signature=${signature}&User-Agent=${escaped(USER_AGENT)}`
  return Buffer.from(url).toString('base64url')
}

/** RFC 3986, as the signature wants it. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
