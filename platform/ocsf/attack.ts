/** MITRE ATT&CK (Enterprise) tactics by the names products give them. */
const tactics = new Map<string, readonly [name: string, uid: string]>(
  (
    [
      ['Reconnaissance', 'TA0043'],
      ['Resource Development', 'TA0042'],
      ['Initial Access', 'TA0001'],
      ['Execution', 'TA0002'],
      ['Persistence', 'TA0003'],
      ['Privilege Escalation', 'TA0004'],
      ['Defense Evasion', 'TA0005'],
      ['Credential Access', 'TA0006'],
      ['Discovery', 'TA0007'],
      ['Lateral Movement', 'TA0008'],
      ['Collection', 'TA0009'],
      ['Exfiltration', 'TA0010'],
      ['Command and Control', 'TA0011'],
      ['Impact', 'TA0040'],
    ] as const
  ).map(([name, uid]) => [plain(name), [name, uid]]),
)

/** Falco writes mitre_defense_evasion, GuardDuty DefenseEvasion. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, '')
}

/** OCSF tactic object; undefined for a name that is no tactic of ATT&CK. */
export function tacticNamed(name: string): { name: string; uid: string } | undefined {
  const found = tactics.get(plain(name))
  return found && { name: found[0], uid: found[1] }
}

export function tacticWithId(uid: string): { name: string; uid: string } | undefined {
  const found = [...tactics.values()].find(each => each[1] === uid)
  return found && { name: found[0], uid }
}
