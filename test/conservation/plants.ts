import type { PlannedFault } from './faults.ts'

/** A change of one module as it is loaded: `find` is in it once. */
export interface Edit {
  readonly file: string
  readonly find: string
  readonly put: string
}

/** A bug put into the running program on purpose, with the faults under which it shows, to prove that it would be noticed. */
export interface Plant {
  readonly name: string
  readonly edits: readonly Edit[]
  readonly plan: readonly PlannedFault[]
  /** What the judge must complain of. */
  readonly caught: RegExp
}

export const plants: readonly Plant[] = [
  {
    name: 'positions are committed beyond what is settled',
    edits: [
      {
        file: 'engine/checkpoint.ts',
        find: 'committable: () => (revoked ? undefined : highest)',
        put: 'committable: () => (revoked || lastTracked < 0n ? undefined : lastTracked)',
      },
    ],
    plan: [{ kind: 'killed while waiting', target: 'waf', atMs: 0, lastsMs: 500 }],
    caught: /^missing: .* is not in OpenSearch$/,
  },
  {
    name: 'a batch counts as durable when its leader alone has it (acks=1)',
    edits: [{ file: 'platform/topics/kafka/messages/records.ts', find: 'int16(-1)', put: 'int16(1)' }],
    plan: ['0', '1', '2'].map((target, at) => ({
      kind: 'kill lonely broker',
      target,
      atMs: at,
      lastsMs: 1_000,
    })),
    caught: /^missing: .* is not in the topic$/,
  },
  {
    name: 'a batch that was not confirmed counts as durable',
    edits: [
      {
        file: 'platform/topics/kafka/producer.ts',
        find: "if (failure.cure === 'large') return",
        put: "if (failure.cure === 'again') return undefined\n        if (failure.cure === 'large') return",
      },
    ],
    plan: [{ kind: 'kill lonely broker', target: '0', atMs: 0, lastsMs: 1_000 }],
    caught: /^missing: .* is not in the topic$/,
  },
  {
    name: 'a document has another id when it is written again',
    edits: [
      {
        file: 'sinks/opensearch/place.ts',
        find: 'valueAt(event.body, this.#id) : event.id',
        put: 'valueAt(event.body, this.#id) : `${event.id}-${process.pid}`',
      },
    ],
    plan: [{ kind: 'killed over lost answers', target: 'waf', atMs: 0, lastsMs: 500 }],
    caught: /^doubled: .* times in OpenSearch$/,
  },
  {
    name: 'the note with the range of a lake object is not stored',
    edits: [
      {
        file: 'sinks/ranges/stream.ts',
        find: 'await this.#positions.setNote(this.name, note)',
        put: '',
      },
    ],
    plan: [{ kind: 'killed over lost answers', target: 'waf-lake', atMs: 0, lastsMs: 500 }],
    caught: /^doubled: .* in the objects of the lake/,
  },
]
