/** Name of a partition as it is written everywhere, also in Event.origin: topic/partition. */
export function placeOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`
}
