// Writes src/exec/files/serve.generated.ts: serve.ts as the text of a program, so that the library carries it and reads no file. Run by:
//   npx esbuild scripts/emit-file-server.ts --format=esm --platform=node | node --input-type=module - --write
import { writeFileSync } from 'node:fs'
import { build } from 'esbuild'

/** The whole file. A test compares it with the one that is checked in. */
export async function renderFileServer(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['src/exec/files/serve.ts'], bundle: true, write: false, platform: 'node', format: 'cjs', target: 'node20.19', minifySyntax: true, legalComments: 'none', charset: 'utf8', logLevel: 'silent',
  })
  const lines = (outputFiles[0]?.text ?? '').split('\n').map(line => line.trim()).filter(line => line !== '' && !line.startsWith('//'))
  return `// Made by scripts/emit-file-server.ts from serve.ts. A program for \`node -e\`, a line each.\nexport const FILE_SERVER: readonly string[] = [\n${lines.map(line => `  ${JSON.stringify(line)},\n`).join('')}]\n`
}

if (process.argv.includes('--write')) writeFileSync('src/exec/files/serve.generated.ts', await renderFileServer())
