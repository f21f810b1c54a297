"""What a visitor may have done, if the dashboard was started with ``--allow-actions``: each is what a command does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from zkrpc.app import connect
from zkrpc.coordination import Registry
from zkrpc.election.inspection import ask_to_step_down
from zkrpc.election.tree import ElectionPaths
from zkrpc.errors import CallError, ConfigError, CoordinationError, IdlError, JsonError, NodeExists, NodeMissing
from zkrpc.jsonform import dump, parse, read_arguments, write, write_exception
from zkrpc.registry.config_history import ConfigVersion, Present, numbers_of, path_of, plan_change
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.published import published_interface
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import parse_service_config

_TIMEOUT = 10.0
"""Seconds that an action may take."""


class Actions:
    """Does things through one registry. ``operator`` is whom colleagues will read of."""

    def __init__(self, registry: Registry, operator: str) -> None:
        self._registry = registry
        self._operator = operator
        self._kinds: dict[str, Callable[[str, str, str, str], str]] = {
            "offline": self._offline,
            "online": self._online,
            "step-down": self._step_down,
            "call": self._call,
            "rollback": self._rollback,
        }

    def __repr__(self) -> str:
        """What can be done."""
        return f"<Actions {' '.join(self._kinds)}>"

    def do(self, kind: str, service: str, subject: str, detail: str, reason: str) -> str:
        """Does something to a service's instance, group or method (``subject``), and returns what has come of it, for
        people: an error too. Raises KeyError for a kind that there is not."""
        act = self._kinds[kind]
        try:
            return act(service, subject, detail, reason)
        except (CallError, ConfigError, CoordinationError, IdlError, JsonError) as error:
            return f"{type(error).__name__}: {error}"

    def _offline(self, service: str, subject: str, detail: str, reason: str) -> str:
        znodes, paths = self._registry.session.znodes, Paths(service)
        if znodes.exists(paths.member(subject)) is None:
            raise ConfigError(f"{service} has no instance {subject}")
        order = OfflineOrder(reason=reason, by=self._operator).dump()
        znodes.ensure_path(paths.offline)
        try:
            znodes.create(paths.offline_order(subject), order)
        except NodeExists:
            znodes.set(paths.offline_order(subject), order)
        return f"{subject} is told to go offline"

    def _online(self, service: str, subject: str, detail: str, reason: str) -> str:
        with contextlib.suppress(NodeMissing):  # somebody else was quicker
            self._registry.session.znodes.delete(Paths(service).offline_order(subject))
        return f"{subject} is told to go online"

    def _step_down(self, service: str, subject: str, detail: str, reason: str) -> str:
        new = ask_to_step_down(self._registry.session, ElectionPaths(service, subject), timeout=_TIMEOUT)
        return f"{new.instance} leads {subject} since epoch {new.epoch}"

    def _rollback(self, service: str, subject: str, detail: str, reason: str) -> str:
        znodes, paths = self._registry.session.znodes, Paths(service)
        found = znodes.get(paths.config)
        numbers = numbers_of(znodes.children(paths.config_history) or ())
        versions = {number: znodes.get(path_of(paths, number)) for number in numbers}
        wanted = versions.get(int(subject)) if subject.isascii() and subject.isdigit() else None
        newest = versions[numbers[-1]] if numbers else None
        if wanted is None or newest is None:
            raise ConfigError(f"the config of {service} has no version {subject}")
        present = Present(
            value=None if found is None else found[0],
            version=-1 if found is None else found[1].version,
            numbers=tuple(numbers),
            newest=ConfigVersion.parse(numbers[-1], newest[0], newest[1].modified_at),
        )
        text = ConfigVersion.parse(int(subject), wanted[0], 0.0).text
        payload = None if text is None else text.encode()
        if payload is not None:
            parse_service_config(payload, max_size=self._registry.config.max_record)
        if payload == present.value:
            return f"the config of {service} is what version {subject} says already"
        why = reason or f"rolled back to version {subject}"
        znodes.multi(plan_change(paths, present, payload, by=self._operator, reason=why))
        return f"the config of {service} is that of version {subject} again"

    def _call(self, service: str, subject: str, detail: str, reason: str) -> str:
        interface = published_interface(self._registry.session, service)
        method = interface.methods.get(subject)
        if method is None:
            raise ConfigError(f"{service} has no method {subject}")
        throws: tuple[type[Exception], ...] = tuple(method.throws)
        arguments = read_arguments(method, parse(detail))
        with connect(interface, service, zookeeper=self._registry) as stub:
            try:
                value = getattr(stub.options(timeout=_TIMEOUT), method.name)(*arguments)
            except throws as error:
                return dump({"exception": write_exception(error)}, indent=2)
        return dump(write(method.result, value), indent=2) if method.result is not None else "done"
