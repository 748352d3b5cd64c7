// Programs as people use them, each led to a host by nothing but the variables that a sandbox sets.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { has, SSHD, type World } from './world.js'

export interface Client {
  readonly name: string
  /** Why this machine cannot run it. */
  readonly lacks: () => string | undefined
  /** A script for `sh -eu` that reaches `host`, in an empty folder of its own. */
  readonly run: (world: World, host: string) => string
  /** Of stdout, through an allow rule. */
  readonly prints: RegExp
  /** Whether the host of `run` shows in `world.hits`. */
  readonly isSeen?: false
}

const needs = (...programs: string[]) => (): string | undefined => {
  const missing = programs.find(program => !has(program))
  return missing === undefined ? undefined : `${missing} is not installed`
}
const needsModule = (module: string) => (): string | undefined =>
  needs('python3')() ?? (has('python3') && spawned('python3', '-c', `import ${module}`) ? undefined : `python3 has no module ${module}`)

const UNDICI = join(process.cwd(), 'node_modules/undici')

const spawned = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0

export const CLIENTS: readonly Client[] = [
  { name: 'curl, HTTP/1.1', lacks: needs('curl'), run: ({ http }, host) => `curl -fsS http://${host}:${http}/`, prints: /^hello from \w+\.allowed\.test\n$/ },
  { name: 'curl, TLS through CONNECT', lacks: needs('curl'), run: ({ https, ca }, host) => `curl -fsS --http1.1 --cacert ${ca} https://${host}:${https}/`, prints: /^hello from/ },
  { name: 'curl, HTTP/2 through CONNECT', lacks: needs('curl'), run: ({ https, ca }, host) => `curl -fsS --http2 -w '%{http_version}' --cacert ${ca} https://${host}:${https}/`, prints: /^hello from .*\n2$/ },
  { name: 'curl, SOCKS5 with names', lacks: needs('curl'), run: ({ http }, host) => `HTTP_PROXY= http_proxy= ALL_PROXY=$CODEX_SANDBOX_SOCKS_PROXY curl -fsS http://${host}:${http}/`, prints: /^hello from/ },
  { name: 'wget', lacks: needs('wget'), run: ({ http }, host) => `wget -qO- -t 1 http://${host}:${http}/`, prints: /^hello from/ },
  { name: 'wget, TLS', lacks: needs('wget'), run: ({ https, ca }, host) => `wget -qO- -t 1 --ca-certificate=${ca} https://${host}:${https}/`, prints: /^hello from/ },
  { name: 'git over http', lacks: needs('git'), run: ({ http }, host) => `git clone -q http://${host}:${http}/repo.git here && cat here/note.txt`, prints: /^from the repository\n$/ },
  {
    name: 'git over ssh', lacks: () => existsSync(SSHD) ? needs('git', 'ssh')() : 'sshd is not installed', isSeen: false,
    // The command that the sandbox sets, with what a user's ~/.ssh would say.
    run: ({ ssh, keys, repository }, host) =>
      `GIT_SSH_COMMAND="$GIT_SSH_COMMAND -i ${keys}/client -o UserKnownHostsFile=${keys}/known_hosts -o IdentitiesOnly=yes -F none" git clone -q ssh://$(id -un)@${host}:${ssh}${repository} here && cat here/note.txt`,
    prints: /^from the repository\n$/,
  },
  {
    name: 'npm', lacks: needs('npm'), isSeen: false, prints: /^hello from npm\n$/,
    run: ({ npm }, host) => `echo '{}' > package.json && npm install --no-audit --no-fund --loglevel=error --fetch-retries=0 --registry=http://${host}:${npm}/ greeting >&2 && node -p 'require("greeting")'`,
  },
  {
    // The program itself, since a shim of pyenv's wants to write what it is a shim for.
    name: 'pip', lacks: needs('pip', 'python3'), prints: /^hello from pip\n$/,
    run: ({ http }, host) => `python=$(python3 -c 'import sys; print(sys.executable)'); PIP_CONFIG_FILE=/dev/null $python -m pip install -q --disable-pip-version-check --no-input --retries 0 --trusted-host ${host} --index-url http://${host}:${http}/simple/ --target here greeting >&2 && PYTHONPATH=here $python -c 'import greeting; print(greeting.text)'`,
  },
  { name: 'Python, urllib', lacks: needs('python3'), run: ({ http }, host) => `python3 -c 'import urllib.request as u; print(u.urlopen("http://${host}:${http}/").read().decode(), end="")'`, prints: /^hello from/ },
  { name: 'Python, requests', lacks: needsModule('requests'), run: ({ https, ca }, host) => `REQUESTS_CA_BUNDLE=${ca} python3 -c 'import requests; r = requests.get("https://${host}:${https}/"); r.raise_for_status(); print(r.text, end="")'`, prints: /^hello from/ },
  {
    name: 'Node, undici', lacks: () => existsSync(UNDICI) ? undefined : 'undici is not installed', prints: /^hello from/,
    run: ({ http }, host) => `node -e 'const { request, EnvHttpProxyAgent } = require("${UNDICI}"); request("http://${host}:${http}/", { dispatcher: new EnvHttpProxyAgent() }).then(async r => { if (r.statusCode !== 200) throw new Error(await r.body.text()); process.stdout.write(await r.body.text()) })'`,
  },
  {
    name: 'Node, WebSocket by undici', lacks: () => existsSync(UNDICI) ? undefined : 'undici is not installed', prints: /^HELLO\n$/,
    run: ({ http }, host) => `node -e 'const { WebSocket, EnvHttpProxyAgent } = require("${UNDICI}"); const s = new WebSocket("ws://${host}:${http}/", { dispatcher: new EnvHttpProxyAgent() }); s.onopen = () => s.send("hello"); s.onmessage = e => { console.log(e.data); process.exit(0) }; s.onerror = e => { console.error(e.message || String(e.error)); process.exit(1) }'`,
  },
  { name: 'Go', lacks: needs('go'), prints: /^hello from/,
    run: ({ http }, host) => `printf '%s\\n' 'package main' 'import ("io";"net/http";"os")' 'func main() { r, e := http.Get(os.Args[1]); if e != nil { panic(e) }; if r.StatusCode != 200 { os.Exit(1) }; io.Copy(os.Stdout, r.Body) }' > main.go && go run main.go http://${host}:${http}/` },
]

/** In a sandbox that was made with `javaProxy`. */
export const JAVA: Client = {
  name: 'Java', lacks: needs('javac', 'java'), prints: /^hello from/,
  run: ({ http }, host) => `printf '%s\\n' 'public class Main { public static void main(String[] a) throws Exception { new java.net.URL(a[0]).openStream().transferTo(System.out); } }' > Main.java && java -Xshare:auto Main.java http://${host}:${http}/`,
}
