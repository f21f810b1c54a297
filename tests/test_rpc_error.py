"""The exceptions that are below everything else."""

from __future__ import annotations

import pickle
import traceback

import zkrpc
from zkrpc import errors, rpc_error


def test_roots_are_where_people_import_them_from() -> None:
    """They are the public ones, a traceback names the public module, and what was pickled is found there."""
    assert errors.ConfigError is rpc_error.ConfigError is zkrpc.ConfigError
    assert errors.RpcError is rpc_error.RpcError is zkrpc.RpcError
    error = errors.ConfigError("wrong")
    assert traceback.format_exception_only(error) == ["zkrpc.errors.ConfigError: wrong\n"]
    assert b"zkrpc.errors" in pickle.dumps(error) and isinstance(pickle.loads(pickle.dumps(error)), errors.ConfigError)
