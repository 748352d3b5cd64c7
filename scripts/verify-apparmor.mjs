// `setup linux` and its AppArmor profile, tried on a kernel that has AppArmor: boots a VM and runs scripts/verify-apparmor-guest.mjs in it.
// Not part of `npm test`: it needs qemu, a kernel and AppArmor's tools of version 4.
// Run: node scripts/build.mjs && node scripts/verify-apparmor.mjs VMLINUZ PACKAGES
// Debian 13: apt-get install --no-install-recommends qemu-system-x86 cpio gcc; apt-get download linux-binary-7.3.4+deb13-cloud-amd64 (of
// trixie-backports), and apparmor, libc6, libstdc++6, libgcc-s1 and busybox-static; dpkg-deb -x each of the latter into PACKAGES;
// VMLINUZ is the kernel's (usr/lib/modules/*/vmlinuz, or boot/vmlinuz-*).
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkNode, main, ROOT, SetUpError, say } from './setup.mjs'

const VM_TIMEOUT_MS = 300_000
const SHELL_TOOLS = ['sh', 'mount', 'cat', 'cp', 'mkdir', 'chown', 'poweroff', 'true', 'id', 'unshare', 'su']

/** The root of an initramfs is no mount that a sandbox could leave: everything moves to a tmpfs first. */
const INIT = `#!/bin/sh
export PATH=/usr/bin:/usr/sbin
if [ ! -e /moved ]; then
  mkdir -p /new && mount -t tmpfs -o size=900m,mode=755 root /new && cp -a /bin /dev /etc /guest /init /lib /lib64 /proc /root /sbin /sys /tmp /usr /var /new/
  : > /new/moved
  exec busybox switch_root /new /init
fi
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t securityfs security /sys/kernel/security
node /guest/scripts/verify-apparmor-guest.mjs
poweroff -f
`

async function run() {
  checkNode()
  const [kernel, packages] = process.argv.slice(2)
  if (kernel === undefined || packages === undefined) throw new SetUpError('usage: node scripts/verify-apparmor.mjs VMLINUZ PACKAGES (its first lines say where to get them)')
  const folder = mkdtempSync(join(tmpdir(), 'verify-apparmor-'))
  try {
    say('packing the initramfs…')
    pack(packages, join(folder, 'root'), join(folder, 'initrd'))
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

function pack(packages, root, out) {
  cpSync(packages, root, { recursive: true, verbatimSymlinks: true })
  for (const name of ['dev', 'guest/scripts', 'proc', 'root', 'sys', 'tmp', 'usr/bin', 'usr/lib64', 'var/tmp']) mkdirSync(join(root, name), { recursive: true })
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) if (!existsSync(join(root, name))) symlinkSync(`usr/${name}`, join(root, name))
  if (!existsSync(join(root, 'usr/lib64/ld-linux-x86-64.so.2'))) symlinkSync('../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', join(root, 'usr/lib64/ld-linux-x86-64.so.2'))
  for (const tool of SHELL_TOOLS) if (!existsSync(join(root, 'usr/bin', tool))) symlinkSync('busybox', join(root, 'usr/bin', tool))
  cpSync(process.execPath, join(root, 'usr/bin/node'), { dereference: true })
  execFileSync('gcc', ['-static', '-O1', '-o', join(root, 'usr/bin/attach'), join(ROOT, 'test/support/attach.c')])
  for (const name of ['dist', 'package.json', 'scripts/verify-apparmor-guest.mjs']) cpSync(join(ROOT, name), join(root, 'guest', name), { recursive: true })
  for (const name of ['zod', 'smol-toml', 'unbash']) cpSync(join(ROOT, 'node_modules', name), join(root, 'guest/node_modules', name), { recursive: true })
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nuser:x:1234:1234::/tmp/user:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nuser:x:1234:\n')
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 })
  execFileSync('sh', ['-c', 'chown -R 0:0 . && chmod 755 . etc etc/apparmor.d usr usr/lib && chmod 1777 tmp && find . | cpio -o -H newc 2>/dev/null | gzip -1 > "$0"', out], { cwd: root })
}

await main(run)
