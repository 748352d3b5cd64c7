// A registry of npm packages with the few answers that `npm install` needs. Run: node npm-registry.mjs PORT FOLDER
// Each folder in FOLDER is a package in one version; its tarball is made with tar(1). Prints `listening on PORT` when it listens;
// 0 takes any port that is free. Runs on the host, and inside a sandbox on its own loopback.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const [port, folder] = process.argv.slice(2)

const packages = new Map(readdirSync(folder).map(name => {
  const description = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8'))
  const { status, stdout, stderr } = spawnSync('tar', ['-czf', '-', '--transform', `s,^${name},package,`, '-C', folder, name], { maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(`tar ended with ${status}: ${stderr}`)
  return [description.name, { description, tarball: stdout }]
}))

const server = createServer((request, response) => {
  const [name, file] = decodeURIComponent(request.url.slice(1)).split('/-/')
  const found = packages.get(name)
  if (request.method !== 'GET' || found === undefined) {
    response.writeHead(404).end('{}')
    return
  }
  const { description, tarball } = found
  if (file !== undefined) {
    response.end(tarball)
    return
  }
  const { version } = description
  const dist = { tarball: `http://${request.headers.host}/${name}/-/${name}-${version}.tgz`, integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}` }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: { ...description, dist } } }))
})
server.listen(Number(port), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
