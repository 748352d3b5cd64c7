// The files of a git configuration, as far as a policy needs them: which other files of configuration, and which hooks, it names.

export interface ConfigNames {
  /** `include.path` and `includeIf.*.path`, as they are written. */
  readonly includes: readonly string[]
  /** `core.hooksPath`, as it is written; each, as a condition may decide which counts. */
  readonly hooks: readonly string[]
}

const LINE = /^\s*(?:\[\s*(?<section>[\w.-]+)(?:\s+"(?:[^"\\]|\\.)*")?\s*\])?\s*(?:(?<key>[a-z][\w-]*)\s*=\s*(?<value>.*))?$/i
const QUOTED = /^"((?:[^"\\]|\\.)*)"/

export function namedInConfig(text: string): ConfigNames {
  const includes: string[] = []
  const hooks: string[] = []
  let section = ''
  for (const line of text.split('\n')) {
    const parts = LINE.exec(line)?.groups
    section = parts?.['section']?.toLowerCase() ?? section
    const value = plain(parts?.['value'] ?? '')
    const key = parts?.['key']?.toLowerCase()
    if (value === '') continue
    if ((section === 'include' || section === 'includeif') && key === 'path') includes.push(value)
    if (section === 'core' && key === 'hookspath') hooks.push(value)
  }
  return { includes, hooks }
}

function plain(value: string): string {
  const quoted = QUOTED.exec(value)?.[1]
  return quoted === undefined ? value.replace(/[#;].*$/, '').trim() : quoted.replaceAll(/\\(.)/g, '$1')
}
