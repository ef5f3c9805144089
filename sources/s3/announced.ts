import { z } from 'zod'

/** An object that S3 says is there. */
export interface Announced {
  readonly bucket: string
  readonly key: string
  readonly versionId: string | undefined
  /** Tells one state of a key from another, where the bucket keeps no versions. */
  readonly etag: string | undefined
}

/** What a message announces: objects (none for the test that S3 sends once, or for deletions), or why it is no announcement. */
export type Announcement = { readonly objects: readonly Announced[] } | { readonly refused: string }

const object = z.object({
  key: z.string().min(1).max(3_072),
  versionId: z.string().max(1_024).optional(),
  'version-id': z.string().max(1_024).optional(),
  eTag: z.string().max(200).optional(),
  etag: z.string().max(200).optional(),
})
const bucket = z.object({ name: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/) })

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html: keys are URL-encoded. */
const notification = z.object({
  Records: z.array(z.object({ eventName: z.string(), s3: z.object({ bucket, object }) })).max(1_000),
})
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: keys are as they are. */
const eventBridge = z.object({
  source: z.literal('aws.s3'),
  'detail-type': z.string(),
  detail: z.object({ bucket, object }),
})
const test = z.object({ Event: z.literal('s3:TestEvent') })

export function announcedBy(text: string): Announcement {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return { refused: 'not_json' }
  }
  if (test.safeParse(parsed).success) return { objects: [] }
  const records = notification.safeParse(parsed)
  if (records.success) {
    const created = records.data.Records.filter(({ eventName }) => eventName.startsWith('ObjectCreated:'))
    try {
      return { objects: created.map(({ s3 }) => announced(s3.bucket.name, s3.object, decoded(s3.object.key))) }
    } catch {
      return { refused: 'not_s3_event: a key that is not URL-encoded' }
    }
  }
  const event = eventBridge.safeParse(parsed)
  if (!event.success) return { refused: 'not_s3_event' }
  const { 'detail-type': type, detail } = event.data
  return { objects: type === 'Object Created' ? [announced(detail.bucket.name, detail.object, detail.object.key)] : [] }
}

/** As a form is encoded: a blank is a plus. Throws URIError. */
function decoded(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '))
}

function announced(name: string, of: z.output<typeof object>, key: string): Announced {
  return { bucket: name, key, versionId: of.versionId ?? of['version-id'], etag: of.eTag ?? of.etag }
}
