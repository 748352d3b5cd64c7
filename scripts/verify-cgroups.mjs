// Limits by control groups, tried on a kernel that has them: boots a VM with cgroup v2 and runs scripts/verify-cgroups-guest.mjs
// in it, once as a user with a delegated group and once as root. Not part of `npm test`: it needs qemu and a kernel.
// Run: node scripts/build.mjs && node scripts/verify-cgroups.mjs VMLINUZ
// Debian: apt-get install --no-install-recommends qemu-system-x86 cpio musl-tools; apt-get download linux-image-6.1.0-56-cloud-amd64;
// dpkg-deb -x linux-image-*.deb kernel; VMLINUZ is kernel/boot/vmlinuz-*.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { launcherSteps, launcherPath } from './build-native.mjs'
import { checkNode, main, ROOT, runSteps, say, SetUpError } from './setup.mjs'

const VM_TIMEOUT_MS = 300_000
const PROGRAMS = [process.execPath, '/bin/sh', '/bin/sleep', '/bin/cat', '/bin/true', '/bin/mount', '/bin/mkdir', '/bin/chown', '/bin/cp', '/usr/bin/setpriv', '/usr/sbin/switch_root']

/** The root of an initramfs is no mount that a sandbox could leave: everything moves to a tmpfs first. */
const INIT = `#!/bin/sh
export PATH=/bin:/usr/bin:/usr/sbin
if [ ! -e /moved ]; then
  mkdir -p /new && mount -t tmpfs -o size=700m root /new && cp -a /bin /dev /guest /lib /lib64 /proc /sbin /sys /tmp /usr /init /new/
  : > /new/moved
  exec switch_root /new /init
fi
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
exec node /guest/scripts/verify-cgroups-guest.mjs
`

async function run() {
  checkNode()
  const [kernel] = process.argv.slice(2)
  if (kernel === undefined) throw new SetUpError('usage: node scripts/verify-cgroups.mjs VMLINUZ (its first lines say where to get one)')
  await runSteps(launcherSteps('fault-injection'))
  const folder = mkdtempSync(join(tmpdir(), 'verify-cgroups-'))
  try {
    say('packing the initramfs…')
    pack(join(folder, 'root'), join(folder, 'initrd'))
    say('booting…')
    const { stdout } = spawnSync('qemu-system-x86_64', [
      '-M', 'pc', '-cpu', 'max', '-smp', '2', '-m', '2048', '-kernel', kernel, '-initrd', join(folder, 'initrd'),
      '-append', 'console=ttyS0 quiet panic=-1 mitigations=off', '-display', 'none', '-no-reboot', '-nodefaults', '-net', 'none', '-serial', 'stdio',
    ], { encoding: 'utf8', timeout: VM_TIMEOUT_MS, input: '' })
    process.stdout.write(stdout)
    if (!/^all passed\r?$/m.test(stdout)) throw new SetUpError('not all passed; the lines above say what did not.')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function pack(root, out) {
  for (const name of ['bin', 'dev', 'guest/scripts', 'lib', 'lib64', 'proc', 'sys', 'tmp', 'usr/bin', 'usr/sbin']) mkdirSync(join(root, name), { recursive: true })
  symlinkSync('bin', join(root, 'sbin'))
  for (const program of PROGRAMS) copyProgram(program, root)
  for (const name of ['dist', 'package.json', launcherPath('fault-injection'), 'scripts/verify-cgroups-guest.mjs']) cpSync(join(ROOT, name), join(root, 'guest', name), { recursive: true })
  for (const name of ['zod', 'smol-toml']) cpSync(join(ROOT, 'node_modules', name), join(root, 'guest/node_modules', name), { recursive: true })
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 })
  execFileSync('sh', ['-c', 'find . | cpio -o -H newc 2>/dev/null | gzip -1 > "$0"', out], { cwd: root })
}

/** With the libraries that it names, at their own places. */
function copyProgram(path, root) {
  const libraries = [...execFileSync('ldd', [path], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)].map(([, library]) => library)
  cpSync(path, join(root, 'bin', path.split('/').at(-1)), { dereference: true })
  for (const library of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true })
    cpSync(library, join(root, library), { dereference: true })
  }
}

await main(run)
