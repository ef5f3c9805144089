/**
 * What the OpenSearch sink talks to in the benchmark: a process of its own, so that its CPU time is not counted. Answers every document
 * of a bulk request with 201 and keeps none; counts them, so that a run can be checked.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type ServerMessage = { readonly url: string } | { readonly documents: number }

const LINE_FEED = 0x0a
const ITEM = '{"create":{"status":201}}'
let documents = 0

const server = createServer((request, response) => void answer(request, response))
server.listen(0, '127.0.0.1', () => tell({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
process.on('message', () => tell({ documents }))
process.on('disconnect', () => process.exit())

function tell(message: ServerMessage): void {
  process.send?.(message)
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let lines = 0
  for await (const chunk of request) lines += lineFeeds(chunk as Buffer)
  if (request.url?.split('?')[0] === '/_bulk') {
    const count = lines / 2
    documents += count
    send(response, 200, `{"errors":false,"items":[${Array.from({ length: count }, () => ITEM).join(',')}]}`)
  } else if (request.method === 'PUT') send(response, 200, '{"acknowledged":true}')
  else send(response, 404, '{"error":{"type":"resource_not_found_exception","reason":"not found"}}')
}

function lineFeeds(chunk: Buffer): number {
  let count = 0
  for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) count++
  return count
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' })
  response.end(body)
}
