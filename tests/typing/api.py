"""The public API as a type checker sees it; checked by mypy, never run."""

from __future__ import annotations

from typing import Any, assert_type

import zkrpc
from zkrpc.telemetry.status import ClientStatus

built_in: zkrpc.Interface[Any, Any] = zkrpc.built_in("Health")


Typed = zkrpc.Interface[str, int, bytes, float]
"""An interface whose protocols are told apart."""


class Handler:
    def get(self, id: int) -> str:
        call = zkrpc.current_call()
        assert_type(call, zkrpc.call.ServerCall | None)
        return str(id)


def serve_and_call() -> None:
    idl = zkrpc.load("users.thrift", include_dirs=["idl"])
    service = zkrpc.Service(idl.Users, Handler, "users", config=zkrpc.ServerConfig(linger=0.5), version="1")
    assert_type(zkrpc.Service([idl.Users, idl.Audit], [Handler, Handler()], "users"), zkrpc.Service[Any])
    with zkrpc.Registry("127.0.0.1:2181/app", snapshot_dir="snapshots") as registry:
        app = zkrpc.serve(service, zookeeper=registry, bind="127.0.0.1:0", zone="a", weight=2.0)
        assert_type(app, zkrpc.App)
        assert_type(app.endpoint, zkrpc.Endpoint)
        users = zkrpc.connect(idl.Users, "users", zookeeper=registry, config=zkrpc.ClientConfig(timeout=1.0))
        users.options(timeout=0.5, idempotent=True, headers={"tenant": "blue"}).get(42)
        sharded = zkrpc.connect(idl.Users, ["h:1"], group_of=lambda method, arguments: f"g{arguments.id % 16}")
        zkrpc.options(sharded, min_epoch=7).get(42)
        zkrpc.close(users)
        app.stop()


def interceptor(call: zkrpc.call.Call, proceed: zkrpc.call.Proceed[zkrpc.call.Call]) -> Any:
    try:
        return proceed(call)
    except zkrpc.NotPrimary as error:
        assert_type(error.primary, zkrpc.Endpoint | None)
        assert_type((error.epoch, error.group), tuple[int | None, str | None])
        raise
    except zkrpc.StaleEpoch as error:
        assert_type(error.seen - error.current, int)
        raise
    except zkrpc.Overloaded as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.executed, zkrpc.Executed)
        raise


def call_from_threads(typed: Typed) -> None:
    idl = zkrpc.load("users.thrift")
    with zkrpc.threads.connect(idl.Users, "users", zookeeper="127.0.0.1:2181") as users:
        users.options(timeout=0.5).submit.get(42).result()
        zkrpc.threads.submit(users).get(42).cancel()
    assert_type(zkrpc.threads.connect(built_in, ["h:1"]), Any)
    assert_type(zkrpc.threads.connect(typed, ["h:1"]), bytes)


async def call_from_tasks(typed: Typed) -> None:
    async with zkrpc.aio.connect(built_in, ["h:1"]) as health:
        await health.options(timeout=0.5).check()
        assert_type(await zkrpc.aio.status(health), ClientStatus)
    await zkrpc.aio.close(await zkrpc.aio.connect(built_in, ["h:1"]))
    assert_type(await zkrpc.aio.connect(typed, ["h:1"]), float)


def call_in_the_background() -> int:
    assert_type(zkrpc.offload(len, "four"), int)
    assert_type(zkrpc.offload(lambda: 4), int)
    zkrpc.spawn(serve_and_call)
    return 0
