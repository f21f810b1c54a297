"""What a visitor may have done, if the dashboard was started with ``--allow-actions``: each is what a command does."""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.app import connect
from zkrpc.coordination import Registry
from zkrpc.election.inspection import ask_to_step_down
from zkrpc.election.tree import ElectionPaths
from zkrpc.errors import ConfigError, RpcError
from zkrpc.jsonform import dump, parse, read_arguments, write, write_exception
from zkrpc.registry.config_store import look_at_config, text_of_version, write_config
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.orders import give_order, is_listed, require_others, withdraw_order
from zkrpc.registry.published import published_interface
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config, parse_service_config

_TIMEOUT = 10.0
"""Seconds that an action may take."""
_MOST_DIGITS = 10


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
        except RpcError as error:
            return f"{type(error).__name__}: {error}"

    def _offline(self, service: str, subject: str, detail: str, reason: str) -> str:
        session, paths = self._registry.session, Paths(service)
        if not is_listed(session, paths, subject):
            raise ConfigError(f"{service} has no instance {subject}")
        require_others(session, paths, subject, f"if nobody shall: zkrpc offline {subject} --service {service} --force")
        give_order(session, paths, subject, OfflineOrder(reason=reason, by=self._operator))
        return f"{subject} is told to go offline"

    def _online(self, service: str, subject: str, detail: str, reason: str) -> str:
        withdraw_order(self._registry.session, Paths(service), subject)
        return f"{subject} is told to go online"

    def _step_down(self, service: str, subject: str, detail: str, reason: str) -> str:
        new = ask_to_step_down(self._registry.session, ElectionPaths(service, subject), timeout=_TIMEOUT)
        return f"{new.instance} leads {subject} since epoch {new.epoch}"

    def _rollback(self, service: str, subject: str, detail: str, reason: str) -> str:
        if not (subject.isascii() and subject.isdigit() and len(subject) <= _MOST_DIGITS):
            raise ConfigError(f"{subject!r} is no version's number")
        session, paths = self._registry.session, Paths(service)
        present = look_at_config(session, paths)
        text = text_of_version(session, paths, present, int(subject))
        payload = None
        if text is not None:
            read = parse_service_config(text.encode(), max_size=self._registry.config.max_record)
            payload = dump_service_config(read)
        if payload == present.value:
            return f"the config of {service} is what version {subject} says already"
        why = reason or f"rolled back to version {subject}"
        write_config(session, paths, present, payload, by=self._operator, reason=why)
        return f"the config of {service} is that of version {subject} again"

    def _call(self, service: str, subject: str, detail: str, reason: str) -> str:
        interface = published_interface(self._registry.session, service)
        method = interface.methods.get(subject)
        if method is None:
            raise ConfigError(f"{service} has no method {subject}")
        throws: tuple[type[Exception], ...] = tuple(method.throws)
        arguments = read_arguments(method, parse(detail))
        part = next(one for one in interface.parts if one.methods.get(method.name) is method)
        with connect(part, service, zookeeper=self._registry) as stub:
            try:
                value = getattr(stub.options(timeout=_TIMEOUT), method.name)(*arguments)
            except throws as error:
                return dump({"exception": write_exception(error)}, indent=2)
        return dump(write(method.result, value), indent=2) if method.result is not None else "done"
