import { z } from 'zod'

const notification = z.object({ Type: z.literal('Notification'), TopicArn: z.string(), Message: z.string() })

/** What a message carries: its body, or what SNS wrapped in it (Amazon SNS developer guide, "Message format"). */
export function carried(body: string): string {
  if (!body.includes('"TopicArn"')) return body
  try {
    const parsed = notification.safeParse(JSON.parse(body))
    return parsed.success ? parsed.data.Message : body
  } catch {
    return body
  }
}
