"""The root of the exceptions, and ConfigError, which values raise: in a layer below the values, as other errors hold
those.

Import both from :mod:`zkrpc.errors`, which has the whole tree; a traceback names that module, too.
"""

from __future__ import annotations

_HOME = "zkrpc.errors"


class RpcError(Exception):
    """The root of everything zkrpc raises on purpose."""

    __module__ = _HOME


class ConfigError(RpcError):
    """A setting is wrong; the message names the field and what it accepts."""

    __module__ = _HOME
