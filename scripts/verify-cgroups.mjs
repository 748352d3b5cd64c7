// Limits, and ends of commands, by control groups, tried on a kernel that has them: boots a VM with cgroup v2 and runs scripts/verify-cgroups-guest.mjs
// in it, once as a user with a delegated group and once as root. Not part of `npm test`: it needs qemu (virtual-machine.mjs says how to get it).
// Run: node scripts/build.mjs && node scripts/verify-cgroups.mjs [SERIES OF KERNELS, such as 6.1]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launcherSteps, launcherPath } from './build-native.mjs'
import { checkNode, main, runSteps, say, SetUpError } from './setup.mjs'
import { boot, fetchKernel, fetchPrograms, layOut, layOutSources, packFolder, PRODUCT, whyNoMachine } from './virtual-machine.mjs'

await main(async () => {
  checkNode()
  const reason = whyNoMachine()
  if (reason !== undefined) throw new SetUpError(`${reason}.`)
  await runSteps(launcherSteps('fault-injection'))
  const kernel = fetchKernel(process.argv[2] ?? '6.1')
  const programs = await fetchPrograms()
  const folder = mkdtempSync(join(tmpdir(), 'verify-cgroups-'))
  try {
    const own = join(folder, 'root')
    const files = [...PRODUCT, launcherPath('fault-injection'), 'scripts/verify-cgroups-guest.mjs']
    layOut(own, Object.fromEntries(files.map(name => [`guest/${name}`, name])))
    // The built package takes no other launcher than its own.
    await layOutSources(own, ['src'], ['src/index.ts'])
    writeFileSync(join(own, 'start'), 'exec node /guest/scripts/verify-cgroups-guest.mjs\n')
    packFolder(own, join(folder, 'own.cpio'))
    say(`booting ${kernel.release}…`)
    const { status, failure } = await boot({ kernel, archives: [programs, join(folder, 'own.cpio')] })
    if (status !== 0) throw new SetUpError(`${failure ?? 'not all passed'}; the lines above say what did not.`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
