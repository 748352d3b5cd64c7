import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/{unit,conformance,ladder,escape,workloads,native,wire,golden,fuzz,package,docs,agent}/**/*.test.ts'],
    globalSetup: 'test/support/global-set-up.ts',
    reporters: ['default', './test/support/summary-reporter.ts'],
    // Tests start real sandboxes and look at descriptors, processes and mounts: each file gets a process of its own.
    pool: 'forks',
    maxWorkers: 2,
    // A sandbox takes milliseconds; the time is for compilers and package managers that run inside one, on a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
})
