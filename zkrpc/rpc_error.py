"""The root of the exceptions, and the one that every value may raise. They are below the values, which errors hold.

People import both from :mod:`zkrpc.errors`, which has the whole tree; and that is where a traceback says they are.
"""

from __future__ import annotations

_HOME = "zkrpc.errors"


class RpcError(Exception):
    """The root of everything zkrpc raises on purpose."""

    __module__ = _HOME


class ConfigError(RpcError):
    """A setting is wrong; the message names the field and what it accepts."""

    __module__ = _HOME
