// A folder that shows in two places, one of them in another writable root: what is held in one must be held in the other.
// The mount is made in a mount namespace of the test's own, which only root has without more ado.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { findProgram } from '../../src/doctor/escapes/attempt.js'

const LIBRARY = fileURLToPath(new URL('../../dist/index.js', import.meta.url))
const lack = process.getuid?.() !== 0 ? 'only root can make the mount' : findProgram('unshare') === undefined ? 'unshare is not installed' : undefined

test.skipIf(lack !== undefined)(`cannot write a protected folder or read a denied one where they show again, but can write beside them (WSL's /mnt/wslg/distro, toolbox's /run/host)${lack === undefined ? '' : `: ${lack}`}`, async () => {
  const folder = realpathSync(mkdtempSync('/var/tmp/codex-sandbox-mounts-'))
  const again = realpathSync(mkdtempSync('/tmp/codex-sandbox-again-'))
  onTestFinished(() => { for (const path of [folder, again]) rmSync(path, { recursive: true, force: true }) })
  mkdirSync(`${folder}/.git/hooks`, { recursive: true })
  mkdirSync(`${folder}/private`)
  writeFileSync(`${folder}/private/key`, 'two-mounts-secret\n')
  const script = `
    import { createSandbox } from ${JSON.stringify(LIBRARY)}
    const sandbox = await createSandbox({ cwd: ${JSON.stringify(folder)}, policy: { mode: 'workspace-write', deny: ['private'] } })
    const result = await sandbox.exec(['sh', '-c', ${JSON.stringify(`cd '${again}'; for n in .git .codex .agents; do mkdir -p $n/hooks; echo x > $n/hooks/planted; done; mv .git g; cat private/key; echo x > beside`)}])
    console.log(result.output)
    await sandbox.close()`
  const output = await new Promise<string>((done, fail) => {
    execFile('unshare', ['-m', 'sh', '-c', 'mount --bind "$1" "$2" && shift 2 && exec "$@"', 'sh', folder, again, process.execPath, '--input-type=module', '-e', script],
      (error, stdout, stderr) => error === null ? done(stdout + stderr) : fail(error))
  })
  expect(['.git', '.codex', '.agents'].filter(name => existsSync(`${folder}/${name}/hooks/planted`))).toEqual([])
  expect(output).not.toContain('two-mounts-secret')
  expect([existsSync(`${folder}/.git/hooks`), existsSync(`${folder}/beside`), existsSync(`${folder}/.codex`)]).toEqual([true, true, false])
})
