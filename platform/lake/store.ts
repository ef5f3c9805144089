import type { S3Access } from '../s3.ts'

/** An object of the lake. Its path is relative to the lake: `class=…/region=…/account=…/day=…/<name>.parquet`. */
export interface StoredObject {
  readonly path: string
  readonly bytes: number
  readonly modifiedMs: number
}

/**
 * Where the objects of a lake are. An object appears under its path whole and durable or not at all, and never changes; what a
 * call of this promises holds when it resolves. A call that rejects may be made again: with SINK_UNAUTHORISED or SINK_MISCONFIGURED a
 * person must act first, with anything else waiting may help.
 */
export interface LakeStore {
  /** As it is configured, for messages: a folder, or `s3://bucket/prefix`. */
  readonly location: string
  /** Where files are made that will be put; on the file system of the lake if that is a folder. */
  readonly partsFolder: string
  /** Makes what is needed, proves what can be proved without leaving a trace, and removes parts that crashed processes left. */
  prepare(nowMs: number): Promise<void>
  /** Bytes of the object; undefined when there is none. */
  sizeOf(path: string): Promise<number | undefined>
  /** Stores a file as an object unless there is one under this path, whoever stored that. The file stays. */
  putNew(path: string, file: string, signal?: AbortSignal): Promise<'stored' | 'present'>
  /** Objects whose path begins with `prefix`, which ends with a slash, in the order of their paths. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Makes a file of an object; false when there is none. The file must not be written to. */
  get(path: string, file: string): Promise<boolean>
  /** Fine when there is no such object. */
  remove(path: string): Promise<void>
  /** What DuckDB calls the object; for a bucket it needs `access` first. */
  source(path: string): string
  access?(): Promise<S3Access>
  close(): Promise<void>
}
