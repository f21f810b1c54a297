"""The public API as a type checker sees it; checked by mypy, never run."""

from __future__ import annotations

from typing import Any, assert_type

import zkrpc


class Handler:
    def get(self, id: int) -> str:
        call = zkrpc.current_call()
        assert_type(call, zkrpc.call.ServerCall | None)
        return str(id)


def serve_and_call() -> None:
    idl = zkrpc.load("users.thrift", include_dirs=["idl"])
    service = zkrpc.Service(idl.Users, Handler, "users", config=zkrpc.ServerConfig(linger=0.5), version="1")
    with zkrpc.Registry("127.0.0.1:2181/app", snapshot_dir="snapshots") as registry:
        app = zkrpc.serve(service, zookeeper=registry, bind="127.0.0.1:0", zone="a", weight=2.0)
        assert_type(app, zkrpc.App)
        assert_type(app.endpoint, zkrpc.Endpoint)
        users = zkrpc.connect(idl.Users, "users", zookeeper=registry, config=zkrpc.ClientConfig(timeout=1.0))
        users.options(timeout=0.5, idempotent=True, headers={"tenant": "blue"}).get(42)
        zkrpc.close(users)
        app.stop()


def interceptor(call: zkrpc.call.Call, proceed: zkrpc.call.Proceed[zkrpc.call.Call]) -> Any:
    try:
        return proceed(call)
    except zkrpc.Overloaded as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.executed, zkrpc.Executed)
        raise


def call_in_the_background() -> int:
    assert_type(zkrpc.offload(len, "four"), int)
    zkrpc.spawn(serve_and_call)
    return 0
