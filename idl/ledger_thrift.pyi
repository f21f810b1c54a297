"""The types of ledger.thrift, as zkrpc loads it.

Written by ``zkrpc stubs``; sha256 95e07170b4b15a4acbcf4049660ef97cacc92c4fce6eb81902e63b3ca7e05c45.
"""

import abc
import typing

import zkrpc

__all__ = [
    "InsufficientFunds",
    "Ledger",
    "LedgerAioClient",
    "LedgerClient",
    "LedgerFutures",
    "LedgerHandler",
    "LedgerThreadsClient",
    "UnknownAccount",
]

class UnknownAccount(Exception):
    account: str
    def __init__(self, account: str) -> None: ...

class InsufficientFunds(Exception):
    account: str
    balance: int
    def __init__(self, account: str, balance: int) -> None: ...

class LedgerClient(zkrpc.TypedStub, typing.Protocol):
    """What can be called at Ledger."""

    def open(self, account: str, amount: int | None = 0) -> int:
        """``i64 open(string account, i64 amount)`` Idempotent."""

    def transfer(
        self,
        source: str,
        target: str,
        amount: int,
        request_id: str,
    ) -> int:
        """``i64 transfer(string source, string target, i64 amount, string request_id) throws (UnknownAccount, InsufficientFunds)`` Idempotent."""

    def balance(self, account: str) -> int:
        """``i64 balance(string account) throws (UnknownAccount)`` Idempotent."""

    def total(self) -> int:
        """``i64 total()`` Idempotent."""

    def whoami(self) -> str:
        """``string whoami()`` Idempotent."""

class LedgerHandler(typing.Protocol):
    """What serves Ledger."""

    @abc.abstractmethod
    def open(self, account: str, amount: int) -> int | typing.Awaitable[int]: ...
    @abc.abstractmethod
    def transfer(
        self,
        source: str,
        target: str,
        amount: int,
        request_id: str,
    ) -> int | typing.Awaitable[int]: ...
    @abc.abstractmethod
    def balance(self, account: str) -> int | typing.Awaitable[int]: ...
    @abc.abstractmethod
    def total(self) -> int | typing.Awaitable[int]: ...
    @abc.abstractmethod
    def whoami(self) -> str | typing.Awaitable[str]: ...

class LedgerFutures(zkrpc.TypedStub, typing.Protocol):
    """What begins calls at Ledger."""

    def open(
        self,
        account: str,
        amount: int | None = 0,
    ) -> zkrpc.threads.CallFuture[int]:
        """``i64 open(string account, i64 amount)`` Idempotent."""

    def transfer(
        self,
        source: str,
        target: str,
        amount: int,
        request_id: str,
    ) -> zkrpc.threads.CallFuture[int]:
        """``i64 transfer(string source, string target, i64 amount, string request_id) throws (UnknownAccount, InsufficientFunds)`` Idempotent."""

    def balance(self, account: str) -> zkrpc.threads.CallFuture[int]:
        """``i64 balance(string account) throws (UnknownAccount)`` Idempotent."""

    def total(self) -> zkrpc.threads.CallFuture[int]:
        """``i64 total()`` Idempotent."""

    def whoami(self) -> zkrpc.threads.CallFuture[str]:
        """``string whoami()`` Idempotent."""

class LedgerThreadsClient(LedgerClient, typing.Protocol):
    """What threads can call at Ledger."""

    @property
    def submit(self) -> LedgerFutures:
        """The same methods, each of which returns a future at once."""

class LedgerAioClient(zkrpc.TypedAioStub, typing.Protocol):
    """What can be awaited of Ledger."""

    async def open(self, account: str, amount: int | None = 0) -> int:
        """``i64 open(string account, i64 amount)`` Idempotent."""

    async def transfer(
        self,
        source: str,
        target: str,
        amount: int,
        request_id: str,
    ) -> int:
        """``i64 transfer(string source, string target, i64 amount, string request_id) throws (UnknownAccount, InsufficientFunds)`` Idempotent."""

    async def balance(self, account: str) -> int:
        """``i64 balance(string account) throws (UnknownAccount)`` Idempotent."""

    async def total(self) -> int:
        """``i64 total()`` Idempotent."""

    async def whoami(self) -> str:
        """``string whoami()`` Idempotent."""

Ledger: zkrpc.Interface[
    LedgerClient,
    LedgerHandler,
    LedgerThreadsClient,
    LedgerAioClient,
]
