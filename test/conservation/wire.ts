import type { IncomingMessage } from 'node:http'

const ACTION = /\{"create":\{"_index":"[^"]+","_id":"([^"]+)"\}\}\n/g

/** Which documents were sent to OpenSearch, and how often: read off the bulk requests on their way. */
export class BulkWatch {
  readonly sent = new Map<string, number>()

  watch(request: IncomingMessage): void {
    if (!request.url?.startsWith('/_bulk')) return
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.once('end', () => {
      for (const [, id = ''] of Buffer.concat(chunks).toString('latin1').matchAll(ACTION)) {
        this.sent.set(id, (this.sent.get(id) ?? 0) + 1)
      }
    })
  }

  /** Documents that were sent more than once. */
  get repeated(): number {
    return [...this.sent.values()].filter(times => times > 1).length
  }
}
