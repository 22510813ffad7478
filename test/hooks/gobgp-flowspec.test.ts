// SPDX-License-Identifier: Apache-2.0
import { describeFlowSpecHook } from './flowspec-suite.js'
import { gobgp } from './gobgp.js'

describeFlowSpecHook({ hook: 'gobgp-flowspec', speaker: gobgp, absent: /deadline exceeded|refused/ })
