"""Highly available RPC, coordinated by ZooKeeper.

Write a Thrift IDL, run replicas, and every call finds a live instance even while machines die.

This module is a lazy door (PEP 562): it lists the public names and imports nothing heavy, so that a launcher can
monkey-patch first and pure modules stay importable without gevent, kazoo or thriftpy2.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "load": "zkrpc.idl",
    "Interface": "zkrpc.idl",
    "Method": "zkrpc.idl",
    "Service": "zkrpc.app",
    "Server": "zkrpc.server.server",
    "Registry": "zkrpc.app",
    "connect": "zkrpc.app",
    "serve": "zkrpc.app",
    "options": "zkrpc.client.stub",
    "close": "zkrpc.client.stub",
    "current_call": "zkrpc.call",
    "Deadline": "zkrpc.deadline",
    "Endpoint": "zkrpc.endpoint",
    "Instance": "zkrpc.endpoint",
    "Snapshot": "zkrpc.endpoint",
    "ClientConfig": "zkrpc.config",
    "ServerConfig": "zkrpc.config",
    "RegistryConfig": "zkrpc.config",
    "WireLimits": "zkrpc.config",
    **dict.fromkeys(
        (
            "RpcError",
            "ConfigError",
            "IdlError",
            "ProtocolError",
            "LocalProtocolError",
            "RemoteProtocolError",
            "CoordinationError",
            "SessionSuspended",
            "SessionLost",
            "OutcomeUnknown",
            "NodeMissing",
            "NodeExists",
            "VersionConflict",
            "IdentityConflict",
            "CallError",
            "Executed",
            "Unavailable",
            "Rejected",
            "Overloaded",
            "Draining",
            "UnknownMethod",
            "ConnectionLost",
            "DeadlineExceeded",
            "RemoteError",
        ),
        "zkrpc.errors",
    ),
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Imports a public name from its home on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'zkrpc' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
