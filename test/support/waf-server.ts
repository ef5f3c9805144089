import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { WafApi } from '../../response/waf/api.ts'

/** A server that speaks AWS JSON 1.1 as WAFv2 does, in front of a fake one, on 127.0.0.1. */
export async function serveWaf(api: WafApi): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const operations: Readonly<Record<string, (input: never, signal: AbortSignal) => Promise<unknown>>> = {
    ListIPSets: api.listIPSets.bind(api),
    GetIPSet: api.getIPSet.bind(api),
    UpdateIPSet: api.updateIPSet.bind(api),
  }
  const server = createServer((request, response) => {
    const perform = async (): Promise<void> => {
      const [service, name = ''] = String(request.headers['x-amz-target']).split('.')
      const input = JSON.parse(await text(request)) as never
      const operation = service === 'AWSWAF_20190729' ? operations[name] : undefined
      response.setHeader('content-type', 'application/x-amz-json-1.1')
      try {
        if (!operation) throw Object.assign(new Error(name), { name: 'UnknownOperationException' })
        response.end(JSON.stringify(await operation(input, new AbortController().signal)))
      } catch (thrown) {
        const { name: type, message } = thrown as Error
        if (type === 'TimeoutError') request.socket.destroy()
        else response.writeHead(400).end(JSON.stringify({ __type: type, message }))
      }
    }
    void perform()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise(resolve => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
