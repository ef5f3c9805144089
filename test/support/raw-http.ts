import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A client that sends exactly the bytes it is told to, and sees exactly what comes back. */
export class RawClient {
  readonly socket: Socket
  #received = ''
  #closed = false
  #error: Error | undefined
  #changed: (() => void) | undefined

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('latin1')
    const changed = () => this.#changed?.()
    this.socket.on('data', (text: string) => {
      this.#received += text
      changed()
    })
    this.socket.on('error', error => {
      this.#error = error
      changed()
    })
    this.socket.on('close', () => {
      this.#closed = true
      changed()
    })
  }

  /** Resolves when the kernel has taken the bytes, or the connection is gone. */
  send(data: string | Buffer): Promise<void> {
    return new Promise(resolve => this.socket.write(data, () => resolve()))
  }

  /** The next whole answer. Rejects when the connection ends without one. */
  async answer(): Promise<RawAnswer> {
    for (;;) {
      const answer = this.#take()
      if (answer) return answer
      if (this.#closed) throw this.#error ?? new Error(`closed without an answer: ${JSON.stringify(this.#received)}`)
      await this.#change()
    }
  }

  /** Resolves when the server has closed the connection; what it sent besides answers. */
  async closed(): Promise<string> {
    while (!this.#closed) await this.#change()
    return this.#received
  }

  /** Everything received so far that answer() has not taken. */
  get received(): string {
    return this.#received
  }

  /** As a client that crashes: the peer sees a reset. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  #change(): Promise<void> {
    return new Promise(resolve => {
      this.#changed = resolve
    })
  }

  #take(): RawAnswer | undefined {
    const headEnd = this.#received.indexOf('\r\n\r\n')
    if (headEnd === -1) return undefined
    const [statusLine = '', ...lines] = this.#received.slice(0, headEnd).split('\r\n')
    const headers = Object.fromEntries(
      lines.map(line => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const end = headEnd + 4 + Number(headers['content-length'] ?? 0)
    if (this.#received.length < end) return undefined
    const body = this.#received.slice(headEnd + 4, end)
    this.#received = this.#received.slice(end)
    return { status: Number(statusLine.split(' ')[1]), headers, body }
  }
}
