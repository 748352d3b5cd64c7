// A machine's configuration in a folder of its own: CODEX_HOME, a project, and the system's folder.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadConfig, type LoadConfigOptions, type LoadedConfig } from '../../src/config/load.js'

export interface ConfigPlace {
  readonly folder: string
  readonly home: string
  readonly codexHome: string
  readonly project: string
  readonly system: string
  /** Writes `text` to `path` below `folder`, folders included. */
  write(path: string, text: string | Uint8Array): string
  load(options?: Partial<LoadConfigOptions>): Promise<LoadedConfig>
}

/** @param files  by their path below the place: `home/.codex/config.toml`, `project/.codex/config.toml`, `system/requirements.toml`; `$PLACE` in them is its folder */
export function configPlace(files: Readonly<Record<string, string>> = {}): ConfigPlace {
  // Not in /tmp: anybody's .git there would make it the root of every project below it.
  const folder = realpathSync(mkdtempSync('/var/tmp/cs-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [home, codexHome, project, system] = ['home', 'home/.codex', 'project', 'system'].map(name => join(folder, name)) as [string, string, string, string]
  for (const each of [codexHome, join(project, '.git'), system]) mkdirSync(each, { recursive: true })
  const write = (path: string, text: string | Uint8Array): string => {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, typeof text === 'string' ? text.replaceAll('$PLACE', folder) : text)
    return file
  }
  for (const [path, text] of Object.entries(files)) write(path, text)
  return {
    folder, home, codexHome, project, system, write,
    load: options => loadConfig({ codexHome, cwd: project, systemFolder: system, env: { HOME: home }, platform: 'linux', ...options }),
  }
}

/** Of the user's file: the project is trusted. */
export const TRUSTED = '[projects."$PLACE/project"]\ntrust_level = "trusted"\n'
