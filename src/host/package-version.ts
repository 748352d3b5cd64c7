// The package's version, from the package.json that lies above this file, bundled or not.
import { existsSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ownFile } from './own-package.js'

export function packageVersion(): string {
  for (let folder = dirname(ownFile()); folder !== dirname(folder); folder = dirname(folder)) {
    const path = `${folder}/package.json`
    if (existsSync(path)) return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
  }
  throw new Error('no package.json above this file')
}
