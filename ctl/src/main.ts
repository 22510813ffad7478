#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { run } from './program.js'

// grpc-js names an IP address as the TLS server name, for which Node prints DEP0123 into the person's terminal.
process.noDeprecation = true

// `flowdam flows | head` closes the pipe early; that is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  now: () => Date.now(),
})
