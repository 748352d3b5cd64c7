// What a shell and the programs that everybody calls from one do.
import { createHash, randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { expect } from 'vitest'
import { LOOKUP, lines, type Place, withoutLoopback, type Workload } from './workload.js'

const bash = (script: string): readonly string[] => ['bash', '-euc', script]

/** Random, so that no stage can guess it; megabytes, so that every window and pipe is filled many times. */
const BYTES = randomBytes(64 << 20)
const DIGEST = createHash('sha256').update(BYTES).digest('hex')
const LONG_VALUE = 'ü'.repeat(32 << 10)

/** Some programs ask the database of users who runs them. */
const hasName = (place: Place): string | undefined => {
  try {
    place.host('getent', 'passwd', String(place.uid))
    return undefined
  } catch {
    return 'this user has no name, and the program wants one'
  }
}

export const SHELL: readonly Workload[] = [
  { name: 'bash: job control in a script', needs: ['bash'], run: bash('set -m; sleep 100 & sleep 0.01 & wait %2; jobs | grep -c Running; kill %1; wait %1 || echo $?'), prints: '1\n143\n', complains: /^\[2\]\+ +Done[^]*Terminated/ },
  { name: 'bash: job control on a terminal', needs: ['bash'], terminal: { rows: 24, cols: 80 },
    run: ['bash', '--norc', '-ic', 'sleep 100 & kill -STOP $!; wait $! 2>/dev/null; jobs; kill -CONT %1; kill %1; wait %1 2>/dev/null; echo end'], prints: /Stopped.*sleep 100[^]*end\r\n$/ },
  { name: 'bash: process substitution, here-documents, here-strings, coprocesses', needs: ['bash', 'diff'],
    run: bash('diff <(printf "a\\nb\\n") <(printf "a\\nb\\n"); echo x | tee >(cat > copy) >/dev/null; cat <<END\nhere $((6*7))\nEND\ncat <<< string; coproc cat; echo co >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; wait_for() { until [ -s copy ]; do sleep 0.01; done; }; wait_for; cat copy'), prints: 'here 42\nstring\nco\nx\n', },
  { name: 'bash: /dev/tcp to a server of its own', needs: ['bash', 'python3'],
    run: ['bash', '-euc', `python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 7777)); open("up", "w").close(); c, _ = s.accept(); c.send(b"ok\\n")' & until [ -e up ]; do sleep 0.02; done; cat < /dev/tcp/127.0.0.1/7777; wait`], prints: 'ok\n',
    ...withoutLoopback({ run: bash('cat < /dev/tcp/127.0.0.1/7777 || echo refused'), prints: 'refused\n', complains: /Connection refused/ }) },
  { name: 'traps: EXIT, TERM, USR1 and an ignored signal', needs: [],
    run: `trap 'echo bye' EXIT; trap 'echo usr1' USR1; trap '' HUP; kill -USR1 $$; kill -HUP $$; sh -c 'trap "echo term; exit 5" TERM; kill -TERM $$; sleep 1' || echo $?`, prints: 'usr1\nterm\n5\nbye\n' },
  { name: 'pipes of many stages, and a reader that stops early', needs: ['seq', 'sort', 'yes'], run: 'seq 100000 | sort -rn | awk "NR%2" | grep -v 7 | head -2 | tail -1 | tr 9 x; yes | head -1', prints: 'xxxx8\ny\n' },
  { name: 'a named pipe between two processes', needs: ['mkfifo'], run: 'mkfifo p; cat p > got & echo through > p; wait; cat got', prints: 'through\n', seen: place => expect(statSync(place.path('p')).isFIFO()).toBe(true) },
  { name: 'nohup and setsid: a background job finishes while the command runs', needs: ['nohup', 'setsid'],
    run: 'nohup sh -c "sleep 0.1; echo done > job" >/dev/null 2>&1 & setsid -f sh -c "echo done > session"; until [ -s job ] && [ -s session ]; do sleep 0.02; done; cat job session', prints: 'done\ndone\n' },
  { name: 'what is left in the background does not hold the command up, and is named', needs: ['setsid', 'pgrep'], run: 'setsid -f sleep 1000; sleep 1000 & until [ "$(pgrep -c -f "^sleep 1000")" = 2 ]; do sleep 0.02; done; echo started', prints: 'started\n', leaves: ['sleep', 'sleep'] },
  { name: 'kill, pkill and pgrep of its own children; nothing else is there', needs: ['pkill', 'pgrep'], run: 'sleep 1000 & sleep 1000 & until [ "$(pgrep -c -f "^sleep 1000")" = 2 ]; do sleep 0.02; done; pgrep -c -f "^sleep 1000"; pkill sleep; wait; pgrep -c sleep || true; kill -9 1', prints: '2\n0\n', complains: /^(?:.*Terminated.*\n)*$/, bwrap: 'as supervised',
    supervised: { why: 'what else runs on the machine is seen, and process 1 is not the command\'s', run: 'sleep 1000 & sleep 1000 & until [ "$(pgrep -P $$ -c -f "^sleep 1000")" = 2 ]; do sleep 0.02; done; pgrep -P $$ -c sleep; pkill -P $$ sleep; wait; pgrep -P $$ -c sleep || true; kill -0 1 || echo refused', prints: '2\n0\nrefused\n', complains: /Operation not permitted/ } },
  { name: 'ps and top see the command\'s own processes', tolerates: /^create .*\/\.config(?:\/procps)?$/, needs: ['ps', 'top'], run: 'ps -C ps -o comm=; ps aux >/dev/null; ps -ef --forest >/dev/null; top -b -n1 | grep -c "[t]op$"', prints: 'ps\n1\n' },
  { name: 'free, uptime, vmstat, nproc, df, uname, hostname, id, whoami, getent', tolerates: new RegExp(`^(?:${LOOKUP})$`), needs: ['free', 'uptime', 'vmstat', 'getent'],
    run: 'free >/dev/null; uptime >/dev/null; vmstat >/dev/null; nproc >/dev/null; df . >/dev/null; uname -a >/dev/null; hostname >/dev/null; getent hosts localhost >/dev/null; id -u; cat /proc/cpuinfo /proc/meminfo /proc/self/status /proc/mounts /proc/loadavg /etc/os-release >/dev/null', prints: /^\d+\n$/ },
  { name: 'ulimit, nice, taskset, stdbuf, time', needs: ['nice', 'taskset', 'stdbuf', 'bash'], run: ['bash', '-euc', 'ulimit -n 64; ulimit -n; ulimit -s >/dev/null; nice -n 5 nice; taskset -c 0 true; stdbuf -oL echo buffered; time true'], prints: '64\n5\nbuffered\n', complains: /real/ },
  { name: 'locale, date with a zone, sleep', needs: ['locale', 'date'], run: 'locale -a | grep -c "^C"; TZ=Asia/Tokyo date -d @0 +%H; sleep 0.01', prints: /^[1-9]\n0[09]\n$/ },
  { name: 'timeout(1) ends what takes too long', needs: ['timeout'], run: 'timeout 0.1 sleep 100 || echo $?; timeout -s KILL 0.1 sh -c "trap \'\' TERM; sleep 100" || echo $?', prints: '124\n137\n', complains: /^(?:.*Killed.*\n)?$/ },
  { name: 'standard streams by their names: /dev/stdin, /dev/stdout, /dev/stderr, /dev/fd', needs: [], stdin: 'in\n', run: 'cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; echo tee | tee /dev/stderr >/dev/null; echo three 3>&1 >/dev/fd/3', prints: 'in\nout\nthree\n', complains: /^err\ntee\n$/ },
  { name: 'devices: null, zero, full, urandom, random; no terminal where there is none', needs: ['dd'],
    run: 'dd if=/dev/zero of=/dev/null bs=1M count=8 2>/dev/null; head -c 16 /dev/urandom | wc -c; head -c 1 /dev/random | wc -c; dd if=/dev/zero of=/dev/full count=1 || echo full; echo x > /dev/tty || echo no terminal', prints: '16\n1\nfull\nno terminal\n', complains: /No space left on device/ },
  { name: '/dev/shm holds files of its own', needs: [], run: 'echo shared > /dev/shm/own; cat /dev/shm/own; ls /dev/shm | wc -l; df -k /dev/shm >/dev/null', prints: 'shared\n1\n',
    supervised: { why: '/dev/shm is the machine\'s: what the sandbox made there is opened as shm_open(3) does, without following links, or for writing', run: 'echo shared > /dev/shm/own; dd if=/dev/shm/own iflag=nofollow status=none; cat <> /dev/shm/own; ls /dev/shm', prints: 'shared\nshared\nown\n' } },
  { name: 'script(1) and tty in a terminal made inside', needs: ['script'], run: `script -qec 'tty; stty size' /dev/null </dev/null`, prints: /^\/dev\/pts\/\d+\r\n\d+ \d+\r\n$/ },
  { name: 'a terminal: tty, stty size, /dev/tty, tput', needs: ['stty'], terminal: { rows: 33, cols: 111 }, run: 'test -t 0 -a -t 1 -a -t 2; tty; stty size; stty -echo; stty echo; echo direct > /dev/tty', prints: /^\/dev\/pts\/\d+\r\n33 111\r\ndirect\r\n$/ },
  { name: 'tmux with a server of its own', tolerates: /^system-call socket\(AF_UNIX, SOCK_DGRAM\)$/, needs: ['tmux'], terminal: { rows: 24, cols: 80 }, env: { TERM: 'xterm' },
    run: 'tmux -S ./t.sock -f /dev/null new-session -d "echo ok > from-tmux; sleep 0.2"; until [ -s from-tmux ]; do sleep 0.02; done; tmux -S ./t.sock kill-server || true; cat from-tmux', prints: /ok\r\n/ },
  { name: 'vim edits a file without a terminal', needs: ['vim'], given: place => place.write('f', 'one\n'), run: ['vim', '-u', 'NONE', '-es', '-c', '%s/one/two/', '-c', 'wq', 'f'], seen: place => expect(place.read('f')).toBe('two\n') },
  { name: 'find, xargs -P and rm', needs: ['find', 'xargs'], run: 'mkdir -p d/e; seq 40 | xargs -P4 -I{} touch d/e/{}; find d -type f -print0 | xargs -0 -P4 -n5 ls | wc -l; find d -name "1*" -delete; find d -type f | wc -l; rm -rf d', prints: '40\n29\n', seen: place => expect(place.exists('d')).toBe(false) },
  { name: 'tar, gzip, bzip2, xz and zstd there and back', needs: ['tar', 'gzip', 'bzip2', 'xz', 'zstd'],
    given: place => {
      place.write('d/a', 'text')
      place.write('d/b', new Uint8Array(100_000))
    },
    run: 'for z in gzip bzip2 xz zstd; do tar -cf a.$z --$z d; mkdir x.$z; tar -xf a.$z -C x.$z; diff -r d x.$z/d; done; echo same', prints: 'same\n' },
  { name: 'tar xf of an archive whose files are other users\'', needs: ['tar'],
    given: place => {
      place.write('d/a', 'text')
      place.host('tar', '-cf', 'a.tar', '--owner=4321', '--group=4322', '--numeric-owner', 'd')
      place.host('rm', '-r', 'd')
    },
    run: 'tar xf a.tar; cat d/a; tar --no-same-owner -tf a.tar | wc -l', prints: 'text2\n', seen: place => expect(statSync(place.path('d/a')).uid).toBe(place.uid) },
  { name: 'chown to another user and group: refused, and told with the uid map', needs: ['chown'], given: place => place.write('f', 'text'),
    run: 'chown 4321 f || echo no owner; chown :4322 f || echo no group; chown "$(id -u):$(id -g)" f; echo own', prints: 'no owner\nno group\nown\n',
    complains: /Operation not permitted/, denied: true,
    seen: place => expect([statSync(place.path('f')).uid, statSync(place.path('f')).gid]).toEqual([place.uid, statSync(place.path()).gid]) },
  { name: 'programs that become another user: refused, and told', needs: ['python3'],
    run: ['python3', '-c', lines`
      import os
      for take in [lambda: os.setgroups([4322]), lambda: os.setresgid(4322, 4322, 4322), lambda: os.setuid(4321), lambda: os.seteuid(4321)]:
          try: take(); print('taken')
          except PermissionError: pass
      os.setuid(os.getuid()); os.setresgid(-1, os.getgid(), -1)
      print(os.getresuid() == (os.getuid(),) * 3)
    `], prints: 'True\n', denied: true },
  { name: 'zip and unzip', needs: ['zip', 'unzip'], given: place => place.write('d/a', 'text'), run: 'zip -qr a.zip d; unzip -q a.zip -d x; cat x/d/a', prints: 'text' },
  { name: 'rsync of a folder', needs: ['rsync'], given: place => place.write('d/a', 'text'), run: 'rsync -a d/ copy/; cat copy/a', prints: 'text' },
  { name: 'sed -i, patch, sort -o, split, cmp', needs: ['patch', 'split'], given: place => place.write('f', 'b\na\n'), run: 'sed -i s/a/c/ f; sort -o f -r f; cat f; cp f g; echo d >> g; diff -u f g > p || patch -s f p; cmp f g; split -l 1 f part-; cat part-aa', prints: 'c\nb\nc\n' },
  { name: 'mktemp in the workspace and in the temporary folder', needs: ['mktemp'], run: 'f=$(mktemp -p .); echo x > "$f"; t=$(mktemp); d=$(mktemp -d); echo x > "$t"; touch "$d/x"; rm -r "$f" "$t" "$d"; echo ok', prints: 'ok\n' },
  { name: 'flock keeps two processes apart', needs: ['flock'], run: 'flock lock sh -c ": > taken; sleep 0.2; echo first >> log" & until [ -e taken ]; do sleep 0.01; done; flock lock sh -c "echo second >> log"; wait; cat log; flock -n lock flock -n lock true || echo held', prints: 'first\nsecond\nheld\n' },
  { name: 'files: chmod, touch -d, symbolic and hard links, rename across folders, truncate, fallocate, sparse copies', needs: ['truncate', 'fallocate'],
    run: lines`
      mkdir -p a b; echo x > a/f; chmod 750 a/f; touch -d @1000 a/f; ln -s ../a/f b/s; ln a/f b/h; mv a/f b/g; cat b/h; readlink b/s
      truncate -s 1M big; fallocate -l 64K big2; cp --sparse=always big copy; stat -c '%a %Y %h' b/g; umask 027; touch mode; stat -c %a mode
      chown "$(id -u):$(id -g)" b/g; cp -a b c; stat -c %Y c/g; mv b d; ls d; install -m 700 d/g tool; stat -c %a tool
    `,
    prints: 'x\n../a/f\n750 1000 2\n640\n1000\ng\nh\ns\n700\n',
    seen: place => expect([place.read('d/g'), statSync(place.path('big')).size]).toEqual(['x\n', 1 << 20]) },
  { name: 'extended attributes of users and locks of byte ranges', needs: ['python3'],
    run: ['python3', '-c', 'import os, fcntl; open("f", "w").close(); os.setxattr("f", "user.a", b"1"); assert os.getxattr("f", "user.a") == b"1"; fcntl.lockf(open("f", "r+"), fcntl.LOCK_EX); print("ok")'], prints: 'ok\n' },
  { name: 'deep paths, and names in Unicode, with blanks and newlines', needs: ['bash'],
    run: bash('WORKSPACE=$PWD; for i in $(seq 30); do mkdir "$(printf "d%0.s" $(seq 200))"; cd d*; done; echo deep > f; cat f; cd "$WORKSPACE"; rm -r d*; echo x > "ü 漢字 🎉"; echo y > $\'new\\nline\'; ls | wc -l; cat "ü 漢字 🎉"'), prints: 'deep\n3\nx\n',
    supervised: { why: 'a folder whose path is longer than the kernel tells cannot be judged, and is not listed: bash then does not know its name', complains: /^(?:cd: error retrieving current directory: getcwd: cannot access parent directories: Permission denied\n)+$/ } },
  { name: 'an environment of 1 MB, and words of 128 KiB less one', needs: ['printenv'], env: Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`LONG_${i}`, LONG_VALUE.slice(0, 16 << 10)])),
    run: ['sh', '-c', 'printenv LONG_0 LONG_31 | wc -c; env | wc -c; echo ${#1}', 'sh', 'x'.repeat((128 << 10) - 1)], prints: /^65538\n10[0-9]{5}\n131071\n$/ },
  { name: '100,000 lines of output, all of them', needs: ['seq'], run: ['seq', '100000'], prints: Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join('') },
  { name: '64 MiB of random bytes through stdin and stdout', needs: ['sha256sum', 'tee'], stdin: BYTES, run: 'tee copy | sha256sum', prints: `${DIGEST}  -\n`,
    seen: place => expect(place.host('sha256sum', place.path('copy')).slice(0, 64)).toBe(DIGEST) },
  { name: '64 MiB of random bytes there and back again', needs: [], stdin: BYTES, run: ['cat'], prints: { bytes: BYTES.length, sha256: DIGEST } },
  { name: 'curl of its own server, by address, by name and by unix socket', tolerates: /^connect 192\.0\.2\.1:80$/, needs: ['curl', 'python3'], given: place => place.write('page', 'ok\n'),
    run: lines`
      python3 -u -m http.server 8001 --bind 127.0.0.1 >log 2>&1 &
      until grep -qs Serving log; do sleep 0.05; done
      curl -sS --noproxy '*' http://127.0.0.1:8001/page; curl -sS --noproxy '*' http://localhost:8001/page
      curl -sS --max-time 5 --noproxy '*' http://192.0.2.1/ || echo "no network"
      kill $!; wait $! || true
    `,
    prints: 'ok\nok\nno network\n', complains: /Couldn't connect|Could not connect|unreachable|Failed to connect/,
    ...withoutLoopback({ run: `curl -sS --max-time 5 --noproxy '*' http://127.0.0.1:8001/page || echo 'no loopback'; curl -sS --max-time 5 --noproxy '*' http://192.0.2.1/ || echo 'no network'`, prints: 'no loopback\nno network\n' }) },
  { name: 'openssl: keys, digests, a certificate', needs: ['openssl'], run: 'openssl genpkey -algorithm ed25519 -out private.pem; openssl pkey -in private.pem -pubout -out public.pem; openssl req -x509 -key private.pem -subj /CN=x -out cert.pem -days 1; printf x | openssl dgst -sha256 -r', prints: /^2d711642b726b044/ },
  { name: 'ssh-keygen into the workspace', needs: ['ssh-keygen'], unless: hasName, run: ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', 'id'], seen: place => expect(place.read('id.pub')).toMatch(/^ssh-ed25519 /) },
  { name: 'sqlite3, jq and ripgrep', needs: ['sqlite3', 'jq', 'rg'], given: place => place.write('f', 'needle\n'), run: `sqlite3 a.db 'create table t (n); insert into t values (42); select n from t'; echo '{"a":1}' | jq .a; rg -c needle`, prints: '42\n1\nf:1\n' },
  { name: 'sudo fails cleanly', needs: ['sudo'], run: 'sudo -n true || echo refused', prints: 'refused\n', complains: /sudo/ },
  { name: 'su to another user fails cleanly', tolerates: /^system-call (?:setgroups|socket\((?:AF_UNIX, SOCK_DGRAM|AF_NETLINK, SOCK_RAW, 9)\))$/, needs: ['su'], unless: hasName, run: 'su -s /bin/sh -c id nobody </dev/null || echo refused', prints: /^(?:Password: )?(?:refused\n)$/, complains: /su:/ },
  { name: 'ip shows the loopback', needs: ['ip'], run: 'ip -brief address show lo | awk \'{print $1, $3}\'', prints: 'lo 127.0.0.1/8\n' },
  { name: 'no descriptor is inherited', needs: [], run: ['sh', '-c', 'ls /proc/self/fd'], prints: '0\n1\n2\n3\n' },
  { name: 'a program in the workspace, by a relative path, by PATH and by a script\'s first line', needs: [], given: place => place.write('tool', '#!/bin/sh\necho "tool $1"\n', 0o755), run: './tool a; PATH="$PWD:$PATH" tool b; ln -s tool linked; ./linked c', prints: 'tool a\ntool b\ntool c\n' },
  { name: 'a script of 1 MiB by standard input', needs: [], stdin: `${'# comment\n'.repeat(100_000)}echo end\n`, run: ['sh'], prints: 'end\n' },
]
