#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Committed, not built: npm links a command at install time only if its file is there, and the build comes after.
import '../dist/main.js'
