"""Who may call a method, and who says so, for ``zkrpc explain`` and ``zkrpc describe``.

The lists of the IDL and of the service's config are read from ZooKeeper. Those of the service's code are known to its
instances only, which tell them to whoever may ask (``zkrpc.Introspection``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from zkrpc.cli.output import several
from zkrpc.client.inquiry import ask_lists
from zkrpc.client.policy import IDL, SERVICE, Described, Setting
from zkrpc.client.resolver import ZKRPC
from zkrpc.config import ServiceConfig
from zkrpc.endpoint import Instance
from zkrpc.idl.served import names_in_config
from zkrpc.server.permissions import EVERY

CODE = "service code"

Lists = Mapping[str, Sequence[str]]
"""Patterns by the names of methods, or by ``"*"`` for all others."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeLists:
    """The lists that the code of a service has, as its instances tell."""

    lists: Lists | None = None
    """None if they are not known."""
    notes: tuple[str, ...] = ()
    """What to bear in mind about them."""


def lists_in_code(instances: Iterable[Instance], timeout: float) -> CodeLists:
    """Asks the instances that can tell, for ``timeout`` seconds at most."""
    asked = sorted((one for one in instances if ZKRPC in one.protocols), key=lambda one: -one.started_at)
    told, silent = ask_lists(asked, timeout=timeout)
    return judge_lists([one.id for one in asked], told, silent)


def judge_lists(asked: Sequence[str], told: Mapping[str, Lists], silent: Mapping[str, str]) -> CodeLists:
    """What the answers come to. ``asked`` has the ids of instances, the newest first, whose lists count; of those that
    have others, and of those that do not tell, there is a note."""
    known = [name for name in asked if name in told]
    unknown = [f"{name}: {silent[name]}" for name in asked if name in silent]
    if not known:
        if not unknown:
            return CodeLists()
        return CodeLists(notes=(f"who may call by the service's code is not known; {several(unknown)}",))
    newest, notes = told[known[0]], []
    if others := [name for name in known if told[name] != newest]:
        notes.append(
            f"the code of {several(others)} has other lists of who may call than that of {known[0]}, shown here"
        )
    if unknown:
        notes.append(f"not all instances tell who may call by their code; {several(unknown)}")
    return CodeLists(lists=newest, notes=tuple(notes))


def who_may_call(method: Described, config: ServiceConfig, code: CodeLists, label: str = "") -> Iterator[Setting]:
    """A row for the lists of a method, if there is one, each with who says it. ``label`` is what the method is called,
    if not by its name."""
    name = label or method.name
    names = (*names_in_config(method.interface, method.name), EVERY)
    said: list[tuple[str, Sequence[str] | None]] = [
        (CODE, None if code.lists is None else code.lists.get(name, code.lists.get(EVERY))),
        (IDL, method.policy.allow),
        (SERVICE, next((config.allow[one] for one in names if one in config.allow), None)),
    ]
    lists = {source: ", ".join(patterns) or "nobody" for source, patterns in said if patterns is not None}
    if lists:
        note = "the service's code may narrow it" if code.lists is None else ""
        yield Setting(name="allow", value="; of these ".join(lists.values()), source=" and ".join(lists), note=note)
