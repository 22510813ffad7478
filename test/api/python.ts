// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT } from '@flowdam/scripts/lab/root'

/** Debian's, whatever else is first in the path: python3-grpcio and python3-grpc-tools belong to it. */
const PYTHON = '/usr/bin/python3'

export interface PythonCall {
  do: 'call' | 'stream' | 'health' | 'reflect'
  method?: string
  service?: string
  token?: string
  request?: object
  /** Sent in place of the request. */
  bytes?: string
  timeout?: number
}

export interface PythonAnswer {
  answer?: Record<string, unknown>
  first?: Record<string, unknown>
  services?: string[]
  status?: string
  error?: { code: string; message: string; details: Record<string, Record<string, unknown>> }
}

/** Code for the standard services, made by Debian's protoc from the protos of the gRPC project's packages. */
export class PythonCode {
  readonly folder = mkdtempSync(join(tmpdir(), 'flowdam-python-'))

  make(): void {
    const aggregator = createRequire(join(ROOT, 'aggregator', 'package.json'))
    const packaged = (name: string, path: string) => join(dirname(aggregator.resolve(name)), path)
    const protos = join(this.folder, 'protos')
    mkdirSync(protos)
    const files: string[] = []
    const copy = (from: string, to: string) => {
      cpSync(from, join(protos, to))
      files.push(to)
    }
    for (const version of ['v1', 'v1alpha']) {
      // Not below grpc/, which is the library's own package in Python.
      copy(
        packaged('@grpc/reflection', `../proto/grpc/reflection/${version}/reflection.proto`),
        `reflected/reflection/${version}/reflection.proto`,
      )
    }
    copy(packaged('grpc-health-check', '../../proto/health/v1/health.proto'), 'grpc_health/v1/health.proto')
    for (const name of ['status', 'error_details']) {
      copy(join(ROOT, 'proto', 'google', 'rpc', `${name}.proto`), `google/rpc/${name}.proto`)
    }
    const out = [`--python_out=${this.folder}`, `--grpc_python_out=${this.folder}`]
    execFileSync(PYTHON, ['-m', 'grpc_tools.protoc', `-I${protos}`, ...out, ...files], { stdio: 'pipe' })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** test/api/client.py, which keeps one connection. */
export class PythonClient {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  #stderr = ''

  constructor(code: PythonCode, server: string, { authority = '-', version = 'v1' } = {}) {
    const script = join(ROOT, 'test', 'api', 'client.py')
    this.#child = spawn(PYTHON, [script, server, authority, version], {
      env: {
        PATH: process.env['PATH'],
        PYTHONPATH: code.folder,
        PYTHONDONTWRITEBYTECODE: '1',
        GRPC_VERBOSITY: 'none',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#stderr += text.toString()
    })
    if (!this.#child.stdout) throw new Error('no stdout')
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  async ask(call: PythonCall): Promise<PythonAnswer> {
    this.#child.stdin?.write(`${JSON.stringify(call)}\n`)
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`the client ended: ${this.#stderr}`)
    return JSON.parse(value) as PythonAnswer
  }

  close(): void {
    this.#child.stdin?.end()
    this.#child.kill()
  }
}
