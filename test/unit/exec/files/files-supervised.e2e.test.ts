// The tests of files.e2e.test.ts on the supervised rung.
process.env['TEST_RUNG'] = 'supervised'
await import('./files.e2e.test.js')
