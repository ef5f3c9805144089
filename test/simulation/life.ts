/** One run of a process, from its start to its crash or orderly end. What it holds in memory ends with it. */
export class Life {
  alive = true
  /** Every life has its own. */
  readonly serial: number
  /** Which machine it runs on: what it keeps in its state folder outlives it. */
  readonly machine: string
  readonly #deaths: (() => void)[] = []

  constructor(machine: string, serial: number) {
    this.serial = serial
    this.machine = machine
  }

  /** Nothing that this process still tries has any effect from here on. */
  kill(): void {
    if (!this.alive) return
    this.alive = false
    for (const died of this.#deaths) died()
  }

  onDeath(listener: () => void): void {
    this.#deaths.push(listener)
  }

  /** The promise as the process sees it: never settled once it is dead. */
  seen<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        value => this.alive && resolve(value),
        error => this.alive && reject(error),
      )
    })
  }

  /** What a dead process awaits. */
  static readonly limbo = new Promise<never>(() => undefined)
}
