import type { WebClient } from '@slack/web-api'
import type { Deps } from '../../engine/contract.ts'
import { asError } from '../../platform/errors.ts'

const REFRESH_MS = 5 * 60_000
const RETRY_MS = 30_000

/** Who may press: users named by id, and members of user groups, looked up every 5 minutes and never while somebody waits. */
export class People {
  readonly #users: ReadonlySet<string>
  readonly #members = new Map<string, ReadonlySet<string>>()
  readonly #stop = new AbortController()
  readonly #refreshing: Promise<void>

  constructor(users: readonly string[], groups: readonly string[], client: WebClient, deps: Deps) {
    this.#users = new Set(users)
    this.#refreshing = groups.length === 0 ? Promise.resolve() : this.#refresh(groups, client, deps)
  }

  may(userId: string): boolean {
    return this.#users.has(userId) || [...this.#members.values()].some(members => members.has(userId))
  }

  close(): Promise<void> {
    this.#stop.abort()
    return this.#refreshing
  }

  async #refresh(groups: readonly string[], client: WebClient, { clock, log }: Deps): Promise<void> {
    let failing = false
    while (!this.#stop.signal.aborted) {
      try {
        for (const usergroup of groups) {
          const { users = [] } = await client.usergroups.users.list({ usergroup })
          this.#members.set(usergroup, new Set(users))
        }
        failing = false
      } catch (thrown) {
        // Who was a member stays one until Slack says otherwise.
        if (!failing) log.warn('the members of a Slack user group cannot be read', { error: asError(thrown).message })
        failing = true
      }
      await clock.wait(failing ? RETRY_MS : REFRESH_MS, this.#stop.signal)
    }
  }
}
