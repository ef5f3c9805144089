import type { Positions } from '../../engine/contract.ts'
import { noPositions } from './deps.ts'

/** Positions of a source whose one stream the test gives to a sink and takes away. */
export class Partition {
  readonly positions: Positions
  #assigned: Parameters<Positions['onAssigned']>[0] = () => undefined
  #revoked: Parameters<Positions['onRevoked']>[0] = () => undefined
  readonly #stream: string

  constructor(stream: string) {
    this.#stream = stream
    this.positions = {
      ...noPositions,
      onAssigned: listener => {
        this.#assigned = listener
      },
      onRevoked: listener => {
        this.#revoked = listener
      },
    }
  }

  assign(stream = this.#stream): void {
    this.#assigned([stream])
  }

  revoke(): void {
    this.#revoked([this.#stream])
  }
}
