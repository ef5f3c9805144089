import { asError, HaetaeError } from '../../platform/errors.ts'

/** The two operations of IAM that disabling an access key needs. */
export interface KeyApi {
  /** The user whose key it is; undefined when IAM knows no such key. */
  ownerOf(keyId: string): Promise<string | undefined>
  /** Sets the key Inactive; again does nothing. False when there is no such key any more. */
  disable(keyId: string, user: string): Promise<boolean>
  close(): void
}

/**
 * IAM as the SDK finds it: credentials and AWS_ENDPOINT_URL_IAM from where AWS programs look. Rejects with SINK_UNAUTHORISED when a
 * person has to act, else with what the SDK throws; every call may be made again.
 */
export async function connectIam(): Promise<KeyApi> {
  const { GetAccessKeyLastUsedCommand, IAMClient, UpdateAccessKeyCommand } = await import('@aws-sdk/client-iam')
  // IAM has one endpoint for all Regions; the SDK wants one named all the same.
  const client = new IAMClient({ region: process.env['AWS_REGION'] || 'us-east-1' })
  return {
    async ownerOf(keyId) {
      try {
        return (await client.send(new GetAccessKeyLastUsedCommand({ AccessKeyId: keyId }))).UserName
      } catch (thrown) {
        // IAM answers AccessDenied for a key of another account, and NoSuchEntity for none at all.
        if (asError(thrown).name.startsWith('NoSuchEntity')) return undefined
        throw explained(thrown)
      }
    },
    async disable(keyId, user) {
      try {
        await client.send(new UpdateAccessKeyCommand({ AccessKeyId: keyId, UserName: user, Status: 'Inactive' }))
        return true
      } catch (thrown) {
        if (asError(thrown).name.startsWith('NoSuchEntity')) return false
        throw explained(thrown)
      }
    },
    close: () => client.destroy(),
  }
}

function explained(thrown: unknown): Error {
  const error = asError(thrown)
  if (!/AccessDenied|InvalidClientTokenId|SignatureDoesNotMatch|CredentialsProvider/.test(error.name)) return error
  const message = `IAM: ${error.name}: ${error.message}`.slice(0, 300)
  return new HaetaeError('SINK_UNAUTHORISED', message, { cause: thrown })
}
