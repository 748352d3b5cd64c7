// A server of the Model Context Protocol that runs inside a sandbox: its tools do what their arguments say.
import { writeFileSync } from 'node:fs'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { z } from 'zod'

const [how] = process.argv.slice(2)
const server = new McpServer({ name: 'inside', version: '1' })
const text = value => ({ content: [{ type: 'text', text: String(value) }] })

server.registerTool('write', { inputSchema: { path: z.string() } }, ({ path }) => {
  try {
    writeFileSync(path, 'written')
    return text('written')
  } catch (error) {
    return text(error.code)
  }
})
server.registerTool('echo', { inputSchema: { text: z.string() } }, given => text(given.text))
server.registerTool('crash', {}, () => process.exit(3))

// One that outlives the end of its input and SIGTERM.
if (how === 'stubborn') {
  setInterval(() => {}, 1000)
  process.on('SIGTERM', () => {})
}
console.error('ready')
await server.connect(new StdioServerTransport())
