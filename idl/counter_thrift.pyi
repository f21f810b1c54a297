"""The types of counter.thrift, as zkrpc loads it.

Written by ``zkrpc stubs``; sha256 002bc52692e5e45a4fd6c132fe2a409f4824b5aff7df58c8835617f67a225c91.
"""

import abc
import typing

import zkrpc

__all__ = [
    "Counter",
    "CounterAioClient",
    "CounterClient",
    "CounterFutures",
    "CounterHandler",
    "CounterThreadsClient",
    "UnknownCounter",
]

class UnknownCounter(Exception):
    key: str
    def __init__(self, key: str) -> None: ...

class CounterClient(zkrpc.TypedStub, typing.Protocol):
    """What can be called at Counter."""

    def add(self, key: str, amount: int, request_id: str) -> int:
        """``i64 add(string key, i64 amount, string request_id)``"""

    def get(self, key: str) -> int:
        """``i64 get(string key) throws (UnknownCounter)`` Idempotent."""

    def all(self) -> dict[str, int]:
        """``map<string, i64> all()`` Idempotent."""

class CounterHandler(typing.Protocol):
    """What serves Counter."""

    @abc.abstractmethod
    def add(
        self,
        key: str,
        amount: int,
        request_id: str,
    ) -> int | typing.Awaitable[int]: ...
    @abc.abstractmethod
    def get(self, key: str) -> int | typing.Awaitable[int]: ...
    @abc.abstractmethod
    def all(self) -> dict[str, int] | typing.Awaitable[dict[str, int]]: ...

class CounterFutures(zkrpc.TypedStub, typing.Protocol):
    """What begins calls at Counter."""

    def add(
        self,
        key: str,
        amount: int,
        request_id: str,
    ) -> zkrpc.threads.CallFuture[int]:
        """``i64 add(string key, i64 amount, string request_id)``"""

    def get(self, key: str) -> zkrpc.threads.CallFuture[int]:
        """``i64 get(string key) throws (UnknownCounter)`` Idempotent."""

    def all(self) -> zkrpc.threads.CallFuture[dict[str, int]]:
        """``map<string, i64> all()`` Idempotent."""

class CounterThreadsClient(CounterClient, typing.Protocol):
    """What threads can call at Counter."""

    @property
    def submit(self) -> CounterFutures:
        """The same methods, each of which returns a future at once."""

class CounterAioClient(zkrpc.TypedAioStub, typing.Protocol):
    """What can be awaited of Counter."""

    async def add(self, key: str, amount: int, request_id: str) -> int:
        """``i64 add(string key, i64 amount, string request_id)``"""

    async def get(self, key: str) -> int:
        """``i64 get(string key) throws (UnknownCounter)`` Idempotent."""

    async def all(self) -> dict[str, int]:
        """``map<string, i64> all()`` Idempotent."""

Counter: zkrpc.Interface[
    CounterClient,
    CounterHandler,
    CounterThreadsClient,
    CounterAioClient,
]
