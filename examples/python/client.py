# SPDX-License-Identifier: Apache-2.0
"""Bans an address for a minute and takes the ban back. README.md says how to run it."""

import os
import sys

import grpc

from flowdam.v1 import api_pb2, api_pb2_grpc

TIMEOUT_S = 5


def connect(server: str) -> grpc.Channel:
    """TLS where FLOWDAM_CA names the authority of the aggregator's certificate."""
    if authority := os.environ.get("FLOWDAM_CA"):
        with open(authority, "rb") as file:
            return grpc.secure_channel(server, grpc.ssl_channel_credentials(file.read()))
    return grpc.insecure_channel(server)


def credentials() -> list[tuple[str, str]]:
    token = os.environ.get("FLOWDAM_TOKEN")
    return [("authorization", f"Bearer {token}")] if token else []


def main(server: str, address: str) -> int:
    metadata = credentials()
    with connect(server) as channel:
        status = api_pb2_grpc.StatusServiceStub(channel)
        bans = api_pb2_grpc.BanServiceStub(channel)

        now = status.GetStatus(api_pb2.GetStatusRequest(), timeout=TIMEOUT_S, metadata=metadata)
        print(f"aggregator {now.version}: {now.incoming.pps:.0f} pps in, {now.bans_active} bans active")

        # The stream has no deadline; it begins with the bans in force.
        watch = bans.WatchBans(api_pb2.WatchBansRequest(), metadata=metadata)
        try:
            added = bans.AddBan(
                api_pb2.AddBanRequest(prefix=address, duration_s=60, reason="example", who="client.py"),
                timeout=TIMEOUT_S,
                metadata=metadata,
            ).ban
        except grpc.RpcError as error:
            # "FD_BAN_EXEMPT: …": the code is stable, the sentence is for people.
            print(f"refused ({error.code().name}): {error.details()}", file=sys.stderr)
            return 1

        for change in watch:
            print(f"{change.event}: {change.ban.prefix} because of {change.ban.metric}, by {change.ban.who}")
            if change.ban.id == added.id:
                break
        watch.cancel()

        end = api_pb2.RemoveBanRequest(target=added.id, who="client.py")
        bans.RemoveBan(end, timeout=TIMEOUT_S, metadata=metadata)
        print(f"unbanned {added.prefix}")
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) != 2:
        sys.exit("usage: client.py HOST:PORT ADDRESS")
    sys.exit(main(*arguments))
