# SPDX-License-Identifier: Apache-2.0
"""A client that has nothing of ours: Debian's grpcio, and what the server's reflection says of its services.

Reads calls from stdin, one JSON object a line, and answers each with one line. Arguments: HOST:PORT, "-" or the file
of the authority, reflection's version (v1 or v1alpha).
"""

import importlib
import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

server, authority, version = sys.argv[1:4]
reflection_pb2 = importlib.import_module(f"grpc.reflection.{version}.reflection_pb2".replace("grpc.", "reflected.", 1))
reflection_pb2_grpc = importlib.import_module(f"reflected.reflection.{version}.reflection_pb2_grpc")
DETAILS = {"ErrorInfo": error_details_pb2.ErrorInfo, "BadRequest": error_details_pb2.BadRequest,
           "RetryInfo": error_details_pb2.RetryInfo}


def connect():
    if authority == "-":
        return grpc.insecure_channel(server)
    with open(authority, "rb") as file:
        return grpc.secure_channel(server, grpc.ssl_channel_credentials(file.read()))


def credentials(call):
    token = call.get("token")
    return [("authorization", f"Bearer {token}")] if token else []


def ask_reflection(channel, metadata, *requests):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    messages = (reflection_pb2.ServerReflectionRequest(**request) for request in requests)
    return list(stub.ServerReflectionInfo(messages, metadata=metadata, timeout=30))


def load(channel, metadata):
    """Names of the services, and a pool with everything that they speak of."""
    pool = descriptor_pool.DescriptorPool()
    (listed,) = ask_reflection(channel, metadata, {"list_services": ""})
    names = [service.name for service in listed.list_services_response.service]
    files = {}
    for name in names:
        (answer,) = ask_reflection(channel, metadata, {"file_containing_symbol": name})
        for raw in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
            files[file.name] = file
    added = set()

    def add(file):
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependency:
            add(files[dependency])
        pool.Add(file)

    for file in files.values():
        add(file)
    return names, pool


def error_of(error):
    details = {}
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for any_value in status_pb2.Status.FromString(value).details:
                kind = any_value.type_url.rsplit(".", 1)[-1]
                details[kind] = json_format.MessageToDict(DETAILS[kind].FromString(any_value.value))
    return {"code": error.code().name, "message": error.details(), "details": details}


def main():
    channel = connect()
    pool = None
    for line in sys.stdin:
        call = json.loads(line)
        metadata = credentials(call)
        try:
            if call["do"] == "health":
                request = health_pb2.HealthCheckRequest(service=call["service"])
                answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=30)
                result = {"status": health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}
            elif call["do"] == "reflect":
                names, pool = load(channel, metadata)
                result = {"services": names}
            else:
                service, method = call["method"].split("/")
                described = pool.FindServiceByName(service).methods_by_name[method]
                factory = message_factory.MessageFactory(pool)
                request_type = factory.GetPrototype(described.input_type)
                response_type = factory.GetPrototype(described.output_type)
                raw = bytes.fromhex(call["bytes"]) if "bytes" in call else None
                request = json_format.ParseDict(call.get("request", {}), request_type())
                serialize = (lambda _: raw) if raw is not None else request_type.SerializeToString
                path = f"/{call['method']}"
                timeout = call.get("timeout", 30)
                if call["do"] == "stream":
                    stub = channel.unary_stream(path, serialize, response_type.FromString)
                    stream = stub(request, metadata=metadata, timeout=timeout)
                    result = {"first": json_format.MessageToDict(next(stream))}
                    stream.cancel()
                else:
                    stub = channel.unary_unary(path, serialize, response_type.FromString)
                    result = {"answer": json_format.MessageToDict(stub(request, metadata=metadata, timeout=timeout))}
        except grpc.RpcError as error:
            result = {"error": error_of(error)}
        print(json.dumps(result), flush=True)


main()
