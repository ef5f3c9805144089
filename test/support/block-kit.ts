/**
 * What Slack refuses of a message. Limits: Block Kit reference (docs.slack.dev/reference/block-kit) and the JSDoc of
 * @slack/types 3.2.0; the total of all texts that is refused as msg_blocks_too_long is near 13,200 (slackapi/bolt-js#2509), ours is lower.
 */
const TOTAL_CHARS_MAX = 8_000

interface Given {
  readonly text?: unknown
  readonly attachments?: unknown
  readonly blocks?: unknown
}

export function blockKitProblems(message: Given): string[] {
  const problems: string[] = []
  const check = (is: boolean, problem: string): void => void (is || problems.push(problem))
  const { text, attachments = [], blocks: plain = [] } = message
  check(typeof text === 'string' && text.length > 0 && text.length <= 4_000, 'text: 1 to 4,000 characters')
  check(Array.isArray(attachments) && attachments.length <= 20, 'attachments: at most 20')
  const blocks = [
    ...(plain as unknown[]),
    ...(attachments as { blocks?: unknown[] }[]).flatMap(each => each.blocks ?? []),
  ]
  check(blocks.length <= 50, 'blocks: at most 50')
  let chars = 0
  const textOf = (object: unknown, type: string | undefined, max: number, where: string): void => {
    const { type: given, text: value } = (object ?? {}) as { type?: unknown; text?: unknown }
    check(type === undefined ? given === 'plain_text' || given === 'mrkdwn' : given === type, `${where}: text object`)
    check(typeof value === 'string' && value.length >= 1 && value.length <= max, `${where}: 1 to ${max} characters`)
    chars += String(value).length
  }
  for (const [at, block] of blocks.entries()) checkBlock(block as Record<string, unknown>, `blocks[${at}]`)
  check(chars <= TOTAL_CHARS_MAX, `blocks: ${chars} characters, ours are at most ${TOTAL_CHARS_MAX}`)
  return problems

  function checkBlock(block: Record<string, unknown>, where: string): void {
    const { type, block_id } = block
    check(block_id === undefined || (typeof block_id === 'string' && block_id.length <= 255), `${where}: block_id`)
    if (type === 'header') textOf(block['text'], 'plain_text', 150, where)
    else if (type === 'section') {
      const fields = (block['fields'] ?? []) as unknown[]
      check(block['text'] !== undefined || fields.length > 0, `${where}: text or fields`)
      if (block['text'] !== undefined) textOf(block['text'], undefined, 3_000, where)
      check(fields.length <= 10, `${where}: at most 10 fields`)
      for (const field of fields) textOf(field, undefined, 2_000, `${where}.fields`)
    } else if (type === 'context') {
      const elements = block['elements'] as unknown[]
      check(elements.length >= 1 && elements.length <= 10, `${where}: 1 to 10 elements`)
      for (const element of elements) textOf(element, undefined, 3_000, where)
    } else if (type === 'rich_text') {
      const text = JSON.stringify(block)
      chars += text.length
      check(text.length <= 4_000, `${where}: ${text.length} characters`)
    } else if (type === 'actions') {
      const elements = block['elements'] as Record<string, unknown>[]
      check(elements.length >= 1 && elements.length <= 25, `${where}: 1 to 25 elements`)
      check(new Set(elements.map(each => each['action_id'])).size === elements.length, `${where}: action_id is unique`)
      for (const element of elements) checkButton(element, where)
    } else check(false, `${where}: no block of type ${String(type)}`)
  }

  function checkButton(button: Record<string, unknown>, where: string): void {
    check(button['type'] === 'button', `${where}: buttons`)
    textOf(button['text'], 'plain_text', 75, where)
    check(String(button['action_id']).length <= 255, `${where}: action_id`)
    const { value = '', url = '', style = 'primary' } = button as Record<string, string>
    check(value.length <= 2_000, `${where}: value of ${value.length} characters`)
    check(url.length <= 3_000, `${where}: url`)
    check(style === 'primary' || style === 'danger', `${where}: style`)
  }
}
