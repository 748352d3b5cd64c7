// A short run of scripts/fuzz-native.mjs; the long one is started by hand.
import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

test('damaged plans, commands and frames are decoded or refused, never read beyond their end', context => {
  if (process.platform !== 'linux') return context.skip('the launcher is for Linux')
  const { status, stderr } = spawnSync(process.execPath, ['scripts/fuzz-native.mjs', '--cases', '60000'], { encoding: 'utf8' })
  if (status === 125) return context.skip(stderr.trim().split('\n').at(-1)!)
  // The seed stands in the text, so that a failure can be repeated.
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/^seed \d+\n60000 cases, none of which made the decoder fail\n$/) as string })
})
