import type { Alert, Detector, Event } from '../../engine/contract.ts'

const PARTS = 8

/** Of each client, tells every third event of a stream: one that is forgotten or counted twice changes all that follow. */
export function countingDetector(): Detector {
  const streams = new Map<string, Map<string, number>>()
  const changed = new Map<string, Set<number>>()
  const partOf = (client: string): number => (client.charCodeAt(client.length - 1) ?? 0) % PARTS
  const countsOf = (stream: string): Map<string, number> => {
    const counts = streams.get(stream) ?? new Map<string, number>()
    streams.set(stream, counts)
    return counts
  }
  const changedIn = (stream: string): Set<number> => {
    const parts = changed.get(stream) ?? new Set(Array.from({ length: PARTS }, (_, part) => part))
    changed.set(stream, parts)
    return parts
  }
  return {
    detect(batch, emit) {
      for (const event of batch) {
        const { client } = JSON.parse(event.raw.toString()) as { client: string }
        const stream = event.origin!.stream
        const count = (countsOf(stream).get(client) ?? 0) + 1
        countsOf(stream).set(client, count)
        changedIn(stream).add(partOf(client))
        if (count % 3 === 0) emit(alertOf(event, `${stream} ${client} ${count}`))
      }
    },
    state: {
      snapshot(stream) {
        const parts = [...changedIn(stream)]
        changed.set(stream, new Set())
        return parts.map(part => {
          const counts = [...countsOf(stream)].filter(([client]) => partOf(client) === part)
          return { part, bytes: Buffer.from(counts.length === 0 ? '' : JSON.stringify(counts)) }
        })
      },
      restore(stream, parts) {
        for (const { bytes } of parts) {
          const counts = JSON.parse(Buffer.from(bytes).toString()) as [string, number][]
          for (const [client, count] of counts) countsOf(stream).set(client, count)
        }
      },
      drop(stream) {
        streams.delete(stream)
        changed.delete(stream)
      },
    },
  }
}

function alertOf(event: Event, id: string): Alert {
  const body = {
    message: id,
    count: event.raw.length,
    metadata: { uid: event.id, version: '1', product: { name: '', vendor_name: '' } },
  }
  return {
    id,
    kind: 'alert',
    origin: event.origin,
    raw: Buffer.from(JSON.stringify(body)),
    marker: undefined,
    replayed: false,
    key: undefined,
    receivedMs: event.receivedMs,
    timeMs: event.timeMs,
    body,
    encode: undefined,
    rule: 'counting',
    severity: 'info',
  }
}
