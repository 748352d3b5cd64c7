// The tests of grant.e2e.test.ts on the supervised rung.
process.env['TEST_RUNG'] = 'supervised'
await import('./grant.e2e.test.js')
