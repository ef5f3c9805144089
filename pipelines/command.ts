/** A command of the command line: one file in commands/, and its line in cli.ts. */
export interface Command {
  readonly name: string
  /** What follows the name on the usage line. */
  readonly usage: string
  readonly summary: string
  /** Exit code: 0 fine, 1 failed, 2 wrong usage or configuration. */
  run(args: readonly string[]): Promise<number>
}
