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
    "UsersClient",
    "UsersHandler",
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
    def get(self, id: int) -> User: ...
    @abc.abstractmethod
    def find(self, prefix: str, limit: int) -> list[User]: ...
    @abc.abstractmethod
    def put(self, user: User) -> None: ...
    @abc.abstractmethod
    def create(self, user: User) -> None: ...
    @abc.abstractmethod
    def remove(self, id: int) -> bool: ...
    @abc.abstractmethod
    def seen(self, id: int, at_ms: int) -> None: ...
    @abc.abstractmethod
    def whoami(self) -> str: ...

Users: zkrpc.Interface[UsersClient, UsersHandler]
