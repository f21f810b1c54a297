"""The types of users.thrift, as zkrpc loads it.

Written by ``zkrpc stubs``; sha256 49c9ff17433ce1d3c25ab20b5f6ae3cd85c5d3fc22366793012c6600b5ac4be7.
"""

import abc
import typing

import zkrpc

__all__ = [
    "Role",
    "User",
    "UserExists",
    "UserNotFound",
    "Users",
    "UsersAioClient",
    "UsersClient",
    "UsersFutures",
    "UsersHandler",
    "UsersThreadsClient",
]

class Role:
    GUEST: typing.Final = 0
    MEMBER: typing.Final = 1
    ADMIN: typing.Final = 2
    _VALUES_TO_NAMES: typing.ClassVar[dict[int, str]]
    _NAMES_TO_VALUES: typing.ClassVar[dict[str, int]]

class User:
    id: int
    name: str
    email: str | None
    role: int  # Role
    tags: list[str]
    def __init__(
        self,
        id: int,
        name: str,
        email: str | None = None,
        role: int = 1,
        tags: list[str] = ...,
    ) -> None: ...

class UserNotFound(Exception):
    id: int
    def __init__(self, id: int) -> None: ...

class UserExists(Exception):
    id: int
    def __init__(self, id: int) -> None: ...

class UsersClient(zkrpc.TypedStub, typing.Protocol):
    """What can be called at Users."""

    def get(self, id: int) -> User:
        """``User get(i64 id) throws (UserNotFound)`` Idempotent."""

    def find(self, prefix: str, limit: int | None = 20) -> list[User]:
        """``list<User> find(string prefix, i32 limit)`` Idempotent."""

    def put(self, user: User) -> None:
        """``void put(User user)`` Idempotent."""

    def create(self, user: User) -> None:
        """``void create(User user) throws (UserExists)``"""

    def remove(self, id: int) -> bool:
        """``bool remove(i64 id)``"""

    def seen(self, id: int, at_ms: int) -> None:
        """``oneway void seen(i64 id, i64 at_ms)``"""

    def whoami(self) -> str:
        """``string whoami()`` Idempotent."""

class UsersHandler(typing.Protocol):
    """What serves Users."""

    @abc.abstractmethod
    def get(self, id: int) -> User | typing.Awaitable[User]: ...
    @abc.abstractmethod
    def find(
        self,
        prefix: str,
        limit: int,
    ) -> list[User] | typing.Awaitable[list[User]]: ...
    @abc.abstractmethod
    def put(self, user: User) -> None | typing.Awaitable[None]: ...
    @abc.abstractmethod
    def create(self, user: User) -> None | typing.Awaitable[None]: ...
    @abc.abstractmethod
    def remove(self, id: int) -> bool | typing.Awaitable[bool]: ...
    @abc.abstractmethod
    def seen(self, id: int, at_ms: int) -> None | typing.Awaitable[None]: ...
    @abc.abstractmethod
    def whoami(self) -> str | typing.Awaitable[str]: ...

class UsersFutures(zkrpc.TypedStub, typing.Protocol):
    """What begins calls at Users."""

    def get(self, id: int) -> zkrpc.threads.CallFuture[User]:
        """``User get(i64 id) throws (UserNotFound)`` Idempotent."""

    def find(
        self,
        prefix: str,
        limit: int | None = 20,
    ) -> zkrpc.threads.CallFuture[list[User]]:
        """``list<User> find(string prefix, i32 limit)`` Idempotent."""

    def put(self, user: User) -> zkrpc.threads.CallFuture[None]:
        """``void put(User user)`` Idempotent."""

    def create(self, user: User) -> zkrpc.threads.CallFuture[None]:
        """``void create(User user) throws (UserExists)``"""

    def remove(self, id: int) -> zkrpc.threads.CallFuture[bool]:
        """``bool remove(i64 id)``"""

    def seen(self, id: int, at_ms: int) -> zkrpc.threads.CallFuture[None]:
        """``oneway void seen(i64 id, i64 at_ms)``"""

    def whoami(self) -> zkrpc.threads.CallFuture[str]:
        """``string whoami()`` Idempotent."""

class UsersThreadsClient(UsersClient, typing.Protocol):
    """What threads can call at Users."""

    @property
    def submit(self) -> UsersFutures:
        """The same methods, each of which returns a future at once."""

class UsersAioClient(zkrpc.TypedAioStub, typing.Protocol):
    """What can be awaited of Users."""

    async def get(self, id: int) -> User:
        """``User get(i64 id) throws (UserNotFound)`` Idempotent."""

    async def find(self, prefix: str, limit: int | None = 20) -> list[User]:
        """``list<User> find(string prefix, i32 limit)`` Idempotent."""

    async def put(self, user: User) -> None:
        """``void put(User user)`` Idempotent."""

    async def create(self, user: User) -> None:
        """``void create(User user) throws (UserExists)``"""

    async def remove(self, id: int) -> bool:
        """``bool remove(i64 id)``"""

    async def seen(self, id: int, at_ms: int) -> None:
        """``oneway void seen(i64 id, i64 at_ms)``"""

    async def whoami(self) -> str:
        """``string whoami()`` Idempotent."""

Users: zkrpc.Interface[UsersClient, UsersHandler, UsersThreadsClient, UsersAioClient]
