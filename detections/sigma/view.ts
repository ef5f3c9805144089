/** What an evaluator asks of the event at hand. Fields are numbered; each is read, folded and searched at most once an event. */
export interface View {
  values(field: number): readonly string[]
  /** The values without regard to case. */
  folded(field: number): readonly string[]
  /** Whether the literal is in its place in some value of the field. */
  has(field: number, literal: number): boolean
}
