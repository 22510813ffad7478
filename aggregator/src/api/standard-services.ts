// SPDX-License-Identifier: Apache-2.0
//
// What tools expect of any gRPC server: grpc.health.v1.Health for probes, and reflection (v1 and v1alpha), with which
// grpcurl and its like need no .proto files.
import { FILE_DESCRIPTORS } from '@flowdam/proto'
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation, type ServingStatus } from 'grpc-health-check'

export type Services = [ServiceDefinition, UntypedServiceImplementation][]

type Described = ConstructorParameters<typeof ReflectionService>[0]

/** The reflection services for the .proto files of @flowdam/proto. */
export function reflectionServices(): Services {
  const fileDescriptorProtos = FILE_DESCRIPTORS.map((text) => Buffer.from(text, 'base64'))
  // Of a package of proto-loader's, this is all that it looks at.
  const description = { files: { fileDescriptorProtos } } as unknown as Described
  return collected((server) => new ReflectionService(description).addToServer(server))
}

/** The health service, and how to change what it says of one of our services, or of all with ''. */
export class HealthService {
  readonly #health: HealthImplementation

  constructor(names: readonly string[]) {
    this.#health = new HealthImplementation(
      Object.fromEntries(['', ...names].map((name) => [name, 'SERVING' as const])),
    )
  }

  get services(): Services {
    return collected((server) =>
      this.#health.addToServer(server as Parameters<HealthImplementation['addToServer']>[0]),
    )
  }

  set(name: string, status: ServingStatus): void {
    this.#health.setStatus(name, status)
  }
}

/** Both packages put themselves into a server; ours is made later, and behind the gate. */
function collected(
  add: (server: {
    addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void
  }) => void,
): Services {
  const services: Services = []
  add({ addService: (definition, implementation) => void services.push([definition, implementation]) })
  return services
}
