// The files of a git configuration, as far as a policy needs them: which other files of configuration, which hooks and which form of objects
// it names.

export interface ConfigNames {
  /** `include.path` and `includeIf.*.path`, as they are written. */
  readonly includes: readonly string[]
  /** `core.hooksPath`, as it is written; each, as a condition may decide which counts. */
  readonly hooks: readonly string[]
  /** `extensions.objectFormat`, as it is written. */
  readonly objectFormats: readonly string[]
}

const LINE = /^\s*(?:\[\s*(?<section>[\w.-]+)(?:\s+"(?:[^"\\]|\\.)*")?\s*\])?\s*(?:(?<key>[a-z][\w-]*)\s*=\s*(?<value>.*))?$/i
const QUOTED = /^"((?:[^"\\]|\\.)*)"/

export function namedInConfig(text: string): ConfigNames {
  const includes: string[] = []
  const hooks: string[] = []
  const objectFormats: string[] = []
  let section = ''
  for (const line of text.split('\n')) {
    const parts = LINE.exec(line)?.groups
    section = parts?.['section']?.toLowerCase() ?? section
    const value = plain(parts?.['value'] ?? '')
    const key = parts?.['key']?.toLowerCase()
    if (value === '') continue
    if ((section === 'include' || section === 'includeif') && key === 'path') includes.push(value)
    if (section === 'core' && key === 'hookspath') hooks.push(value)
    if (section === 'extensions' && key === 'objectformat') objectFormats.push(value)
  }
  return { includes, hooks, objectFormats }
}

function plain(value: string): string {
  const quoted = QUOTED.exec(value)?.[1]
  return quoted === undefined ? value.replace(/[#;].*$/, '').trim() : quoted.replaceAll(/\\(.)/g, '$1')
}
