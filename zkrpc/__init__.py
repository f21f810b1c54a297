"""Highly available RPC, coordinated by ZooKeeper.

Write a Thrift IDL, run replicas, and every call finds a live instance, or the elected primary, even while machines die.

This module lists the public names and imports each on first use (PEP 562), so that a launcher can monkey-patch first
and pure modules can be imported without gevent, kazoo or thriftpy2.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zkrpc import aio as aio
    from zkrpc import threads as threads
    from zkrpc.admin.door import Admin as Admin
    from zkrpc.app import App as App
    from zkrpc.app import connect as connect
    from zkrpc.app import serve as serve
    from zkrpc.call import current_call as current_call
    from zkrpc.call import detach as detach
    from zkrpc.client.stub import TypedAioStub as TypedAioStub
    from zkrpc.client.stub import TypedStub as TypedStub
    from zkrpc.client.stub import close as close
    from zkrpc.client.stub import explain as explain
    from zkrpc.client.stub import options as options
    from zkrpc.client.stub import status as status
    from zkrpc.config import BreakerConfig as BreakerConfig
    from zkrpc.config import CallerConfig as CallerConfig
    from zkrpc.config import ClientConfig as ClientConfig
    from zkrpc.config import ElectionConfig as ElectionConfig
    from zkrpc.config import MethodConfig as MethodConfig
    from zkrpc.config import RegistryConfig as RegistryConfig
    from zkrpc.config import ServerConfig as ServerConfig
    from zkrpc.config import ServiceConfig as ServiceConfig
    from zkrpc.config import WireLimits as WireLimits
    from zkrpc.coordination import Registry as Registry
    from zkrpc.credentials import ZooKeeperSecurity as ZooKeeperSecurity
    from zkrpc.deadline import Deadline as Deadline
    from zkrpc.election.fencing import SqlFence as SqlFence
    from zkrpc.election.leadership import Leadership as Leadership
    from zkrpc.election.primary import primary_only as primary_only
    from zkrpc.endpoint import Endpoint as Endpoint
    from zkrpc.endpoint import Instance as Instance
    from zkrpc.endpoint import Snapshot as Snapshot
    from zkrpc.errors import AccessDenied as AccessDenied
    from zkrpc.errors import CallError as CallError
    from zkrpc.errors import ConfigError as ConfigError
    from zkrpc.errors import ConnectionLost as ConnectionLost
    from zkrpc.errors import CoordinationError as CoordinationError
    from zkrpc.errors import DeadlineExceeded as DeadlineExceeded
    from zkrpc.errors import Draining as Draining
    from zkrpc.errors import Executed as Executed
    from zkrpc.errors import IdentityConflict as IdentityConflict
    from zkrpc.errors import IdlError as IdlError
    from zkrpc.errors import JsonError as JsonError
    from zkrpc.errors import LocalProtocolError as LocalProtocolError
    from zkrpc.errors import NodeExists as NodeExists
    from zkrpc.errors import NodeMissing as NodeMissing
    from zkrpc.errors import NotPrimary as NotPrimary
    from zkrpc.errors import OutcomeUnknown as OutcomeUnknown
    from zkrpc.errors import Overloaded as Overloaded
    from zkrpc.errors import PermissionDenied as PermissionDenied
    from zkrpc.errors import ProtocolError as ProtocolError
    from zkrpc.errors import Rejected as Rejected
    from zkrpc.errors import RemoteError as RemoteError
    from zkrpc.errors import RemoteProtocolError as RemoteProtocolError
    from zkrpc.errors import RpcError as RpcError
    from zkrpc.errors import SessionLost as SessionLost
    from zkrpc.errors import SessionSuspended as SessionSuspended
    from zkrpc.errors import StaleEpoch as StaleEpoch
    from zkrpc.errors import TooLarge as TooLarge
    from zkrpc.errors import Unavailable as Unavailable
    from zkrpc.errors import UnknownMethod as UnknownMethod
    from zkrpc.errors import VersionConflict as VersionConflict
    from zkrpc.errors import WrongProcess as WrongProcess
    from zkrpc.errors import WrongThread as WrongThread
    from zkrpc.greenlets import offload as offload
    from zkrpc.greenlets import spawn as spawn
    from zkrpc.identity import Identity as Identity
    from zkrpc.idl import Interface as Interface
    from zkrpc.idl import Method as Method
    from zkrpc.idl import built_in as built_in
    from zkrpc.idl import load as load
    from zkrpc.idl import load_into as load_into
    from zkrpc.server.dispatch import uninterruptible as uninterruptible
    from zkrpc.server.permissions import allow as allow
    from zkrpc.server.server import Server as Server
    from zkrpc.service import Service as Service
    from zkrpc.telemetry.events import AttemptFinished as AttemptFinished
    from zkrpc.telemetry.events import AttemptStarted as AttemptStarted
    from zkrpc.telemetry.events import BreakerClosed as BreakerClosed
    from zkrpc.telemetry.events import BreakerOpened as BreakerOpened
    from zkrpc.telemetry.events import CallEvent as CallEvent
    from zkrpc.telemetry.events import CallFinished as CallFinished
    from zkrpc.telemetry.events import CallHedged as CallHedged
    from zkrpc.telemetry.events import CallRetried as CallRetried
    from zkrpc.telemetry.events import CallStarted as CallStarted
    from zkrpc.telemetry.events import CameOnline as CameOnline
    from zkrpc.telemetry.events import CandidacyEnded as CandidacyEnded
    from zkrpc.telemetry.events import CertificateEvent as CertificateEvent
    from zkrpc.telemetry.events import CertificateRejected as CertificateRejected
    from zkrpc.telemetry.events import CertificateReloaded as CertificateReloaded
    from zkrpc.telemetry.events import ClientEvent as ClientEvent
    from zkrpc.telemetry.events import ConnectionClosed as ConnectionClosed
    from zkrpc.telemetry.events import ConnectionEvent as ConnectionEvent
    from zkrpc.telemetry.events import ConnectionFailed as ConnectionFailed
    from zkrpc.telemetry.events import ConnectionOpened as ConnectionOpened
    from zkrpc.telemetry.events import ConnectivityChanged as ConnectivityChanged
    from zkrpc.telemetry.events import Deposed as Deposed
    from zkrpc.telemetry.events import DrainStarted as DrainStarted
    from zkrpc.telemetry.events import DrainStepTaken as DrainStepTaken
    from zkrpc.telemetry.events import Elected as Elected
    from zkrpc.telemetry.events import ElectionEvent as ElectionEvent
    from zkrpc.telemetry.events import EnsembleChanged as EnsembleChanged
    from zkrpc.telemetry.events import Event as Event
    from zkrpc.telemetry.events import HandshakeFailed as HandshakeFailed
    from zkrpc.telemetry.events import HubBlocked as HubBlocked
    from zkrpc.telemetry.events import IdlEvent as IdlEvent
    from zkrpc.telemetry.events import IdlPublished as IdlPublished
    from zkrpc.telemetry.events import IdlRefused as IdlRefused
    from zkrpc.telemetry.events import MemberEvent as MemberEvent
    from zkrpc.telemetry.events import MemberJoined as MemberJoined
    from zkrpc.telemetry.events import MemberLeft as MemberLeft
    from zkrpc.telemetry.events import MemberSpared as MemberSpared
    from zkrpc.telemetry.events import PeerConnected as PeerConnected
    from zkrpc.telemetry.events import PeerDisconnected as PeerDisconnected
    from zkrpc.telemetry.events import PeerRefused as PeerRefused
    from zkrpc.telemetry.events import PrimaryChanged as PrimaryChanged
    from zkrpc.telemetry.events import Registered as Registered
    from zkrpc.telemetry.events import RegistrationConflicted as RegistrationConflicted
    from zkrpc.telemetry.events import RegistrationEvent as RegistrationEvent
    from zkrpc.telemetry.events import RegistrationFailed as RegistrationFailed
    from zkrpc.telemetry.events import RegistrationWithdrawn as RegistrationWithdrawn
    from zkrpc.telemetry.events import RequestAnswered as RequestAnswered
    from zkrpc.telemetry.events import RequestFinished as RequestFinished
    from zkrpc.telemetry.events import RequestRefused as RequestRefused
    from zkrpc.telemetry.events import RetryBudgetExhausted as RetryBudgetExhausted
    from zkrpc.telemetry.events import ServerEvent as ServerEvent
    from zkrpc.telemetry.events import ServerStarted as ServerStarted
    from zkrpc.telemetry.events import ServerStopped as ServerStopped
    from zkrpc.telemetry.events import SessionChanged as SessionChanged
    from zkrpc.telemetry.events import SessionEvent as SessionEvent
    from zkrpc.telemetry.events import Synchronised as Synchronised
    from zkrpc.telemetry.events import WentOffline as WentOffline
    from zkrpc.telemetry.observer import Observer as Observer
    from zkrpc.tls.settings import ClientTls as ClientTls
    from zkrpc.tls.settings import ServerTls as ServerTls
    from zkrpc.tracing.start import start_tracing as start_tracing

__version__ = "0.1.0"

_HOMES = {
    "load": "zkrpc.idl",
    "built_in": "zkrpc.idl",
    "load_into": "zkrpc.idl",
    "Identity": "zkrpc.identity",
    "Interface": "zkrpc.idl",
    "Method": "zkrpc.idl",
    "Service": "zkrpc.service",
    "Server": "zkrpc.server.server",
    "uninterruptible": "zkrpc.server.dispatch",
    "allow": "zkrpc.server.permissions",
    "Registry": "zkrpc.coordination",
    "Admin": "zkrpc.admin.door",
    "App": "zkrpc.app",
    "connect": "zkrpc.app",
    "offload": "zkrpc.greenlets",
    "serve": "zkrpc.app",
    "TypedAioStub": "zkrpc.client.stub",
    "TypedStub": "zkrpc.client.stub",
    "start_tracing": "zkrpc.tracing.start",
    "explain": "zkrpc.client.stub",
    "options": "zkrpc.client.stub",
    "status": "zkrpc.client.stub",
    "close": "zkrpc.client.stub",
    "current_call": "zkrpc.call",
    "detach": "zkrpc.call",
    "spawn": "zkrpc.greenlets",
    "primary_only": "zkrpc.election.primary",
    "Leadership": "zkrpc.election.leadership",
    "SqlFence": "zkrpc.election.fencing",
    "Deadline": "zkrpc.deadline",
    "Endpoint": "zkrpc.endpoint",
    "Instance": "zkrpc.endpoint",
    "Snapshot": "zkrpc.endpoint",
    "BreakerConfig": "zkrpc.config",
    "CallerConfig": "zkrpc.config",
    "ClientConfig": "zkrpc.config",
    "MethodConfig": "zkrpc.config",
    "ServiceConfig": "zkrpc.config",
    "ServerConfig": "zkrpc.config",
    "ElectionConfig": "zkrpc.config",
    "RegistryConfig": "zkrpc.config",
    "ZooKeeperSecurity": "zkrpc.credentials",
    "WireLimits": "zkrpc.config",
    "ClientTls": "zkrpc.tls.settings",
    "ServerTls": "zkrpc.tls.settings",
    **dict.fromkeys(
        (
            "RpcError",
            "ConfigError",
            "IdlError",
            "JsonError",
            "ProtocolError",
            "LocalProtocolError",
            "RemoteProtocolError",
            "CoordinationError",
            "SessionSuspended",
            "SessionLost",
            "OutcomeUnknown",
            "NodeMissing",
            "NodeExists",
            "AccessDenied",
            "VersionConflict",
            "IdentityConflict",
            "CallError",
            "Executed",
            "Unavailable",
            "Rejected",
            "Overloaded",
            "Draining",
            "UnknownMethod",
            "PermissionDenied",
            "TooLarge",
            "NotPrimary",
            "StaleEpoch",
            "ConnectionLost",
            "DeadlineExceeded",
            "RemoteError",
            "WrongThread",
            "WrongProcess",
        ),
        "zkrpc.errors",
    ),
    "Observer": "zkrpc.telemetry.observer",
    **dict.fromkeys(
        (
            "AttemptFinished",
            "AttemptStarted",
            "BreakerClosed",
            "BreakerOpened",
            "CallEvent",
            "CallFinished",
            "CallHedged",
            "CallRetried",
            "CallStarted",
            "CameOnline",
            "CandidacyEnded",
            "CertificateEvent",
            "CertificateRejected",
            "CertificateReloaded",
            "ClientEvent",
            "ConnectionClosed",
            "ConnectionEvent",
            "ConnectionFailed",
            "ConnectionOpened",
            "ConnectivityChanged",
            "Deposed",
            "DrainStarted",
            "DrainStepTaken",
            "Elected",
            "ElectionEvent",
            "EnsembleChanged",
            "Event",
            "HandshakeFailed",
            "HubBlocked",
            "IdlEvent",
            "IdlPublished",
            "IdlRefused",
            "MemberEvent",
            "MemberJoined",
            "MemberLeft",
            "MemberSpared",
            "PeerConnected",
            "PeerDisconnected",
            "PeerRefused",
            "PrimaryChanged",
            "Registered",
            "RegistrationConflicted",
            "RegistrationEvent",
            "RegistrationFailed",
            "RegistrationWithdrawn",
            "RequestAnswered",
            "RequestFinished",
            "RequestRefused",
            "RetryBudgetExhausted",
            "ServerEvent",
            "ServerStarted",
            "ServerStopped",
            "SessionChanged",
            "SessionEvent",
            "WentOffline",
            "Synchronised",
        ),
        "zkrpc.telemetry.events",
    ),
}

_FRONTS = ("aio", "threads")
"""Modules that are used by their own names, as in ``zkrpc.threads.connect``."""

__all__ = [*_HOMES, *_FRONTS, "__version__"]


def __getattr__(name: str) -> Any:
    """Imports a public name from its home on first use."""
    if name in _FRONTS:
        return importlib.import_module(f"zkrpc.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'zkrpc' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
