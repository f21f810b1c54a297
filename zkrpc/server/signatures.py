"""Whether a handler fits its interface, checked once before anything is served, instead of by every call.

A handler is called with the arguments in the order of the IDL. So its parameters are compared with the IDL's by name,
number and order: two swapped parameters would otherwise be served without a warning, each with the other's value. A
handler whose calls could never work is refused, with one error that has a line for each method and the place of both;
what may be intended is only warned about.

====================================  =================================================================================
a handler's method                    is judged
====================================  =================================================================================
``def find(self, prefix, limit)``     by names and order; ``prefix_``, ``_prefix`` and ``camelCase`` are the same name
``def find(self, a, b, /)``           by number: positional-only parameters may have names of their own
``def find(self, *args)``             it takes everything; what stands before ``*args`` is compared
``..., verbose=False)``               a parameter beyond the IDL's may be there if it has a default
a decorated one                       by what ``inspect.signature`` says of it: the function that ``functools.wraps``
                                      names, or the ``__signature__`` of a decorator that changes the parameters
one without a signature               not at all
``async def``                         like any other; it runs on the event loop of :mod:`~zkrpc.server.event_loop`
one with ``yield``, a hook in either  refused: nobody would run it
form
====================================  =================================================================================
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import keyword
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zkrpc.callables import Kind, attribute_of, kind_of, name_of, never_run
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface, Method, Parameter

log = logging.getLogger(__name__)

_HOOKS = ("on_elected", "on_deposed")
"""Other methods of a handler that zkrpc calls."""
_LIKENESS = 0.75
_POSITIONAL_ONLY, _KEYWORD_ONLY = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY)
_NAMED = (_POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NO_DEFAULT = inspect.Parameter.empty


def check_handler(interface: Interface, handler: object) -> None:
    """Logs a warning for what is odd. Raises ConfigError if a call of any method could not be served correctly."""
    owner = name_of(handler)
    if isinstance(handler, type):
        for method in interface.methods.values():
            if "self" in _parameter_names(attribute_of(handler, method.name)):
                raise ConfigError(f"the handler is the class {owner} itself, not an instance of it; write {owner}()")
    faults: list[str] = []
    for method in interface.methods.values():
        faults += () if method.refusal else _faults(method, handler, owner)
    for name in _HOOKS:
        if reason := never_run(hook := attribute_of(handler, name)):
            faults.append(f"{place_of(hook, handler)}{owner}.{name}{reason}")
    if faults:
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise ConfigError(f"{owner} does not fit {interface.name}:{lines}")
    for warning in _warnings(interface, handler, owner):
        log.warning("%s", warning)


def _faults(method: Method, handler: object, owner: str) -> Iterator[str]:
    """What is wrong with one method, each as a line."""
    try:
        function = getattr(handler, method.name, None)
    except Exception as error:  # a property of the handler's own
        reason = f" cannot be read: {type(error).__name__}: {error}"
        yield f"{place_of(handler)}{owner}.{method.name}{reason}{_declared(method)}"
        return
    if not callable(function):
        yield _missing(method, handler, owner, function)
        return
    function = generic_of(handler, method.name) or function
    reason = ("" if kind_of(function) is Kind.TASK else never_run(function)) or _misfit(method, function)
    if reason:
        yield f"{place_of(function, handler)}{owner}.{method.name}{reason}{_declared(method)}"


def generic_of(handler: object, name: str) -> Any:
    """The function that stands for all of a ``functools.singledispatchmethod``, bound as a call binds it; None for any
    other method. What such a method gives to ``inspect`` has a ``self`` too many."""
    found = inspect.getattr_static(handler, name, None)
    if isinstance(found, functools.singledispatchmethod):
        return found.func.__get__(handler, type(handler))
    return None


def _missing(method: Method, handler: object, owner: str, found: object) -> str:
    there = "is missing" if found is None else f"is {found!r:.60}, which cannot be called"
    alike = _alike(method.name, [name for name in _public_methods(handler) if name != method.name])
    named = alike and not keyword.iskeyword(method.name)
    hint = f"; is {owner}.{alike} meant?" if named else f"; {_advice(method, owner)}"
    return f"{place_of(handler)}{owner}.{method.name} {there}{hint}{_declared(method)}"


def _advice(method: Method, owner: str) -> str:
    name, parameters = method.name, _list(method, first="self")
    if keyword.iskeyword(name):
        # Python's grammar has no room for it, but its objects have.
        return f"write def {name}_({parameters}), and below the class: setattr({owner}, {name!r}, {owner}.{name}_)"
    return f"write def {name}({parameters})"


def _declared(method: Method) -> str:
    return f" [{method.place}: {method.name}({_list(method)})]"


def _list(method: Method, *, first: str = "") -> str:
    names = (f"{one.name}_" if first and not _is_usable(one.name) else one.name for one in method.parameters)
    return ", ".join([*([first] if first else []), *names])


def _is_usable(name: str) -> bool:
    return not keyword.iskeyword(name) and name != "self"


# Parameters


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """The function's signature; None if it has none, as some functions written in C, one whose ``__wrapped__`` leads
    back to itself, and a mock whose code is one, too. Raises TypeError for a method without ``self``."""
    with contextlib.suppress(TypeError, ValueError):
        return inspect.signature(function)
    lacks_self = False
    with contextlib.suppress(TypeError, ValueError):
        lacks_self = inspect.ismethod(function) and not inspect.signature(function.__func__).parameters
    if lacks_self:
        raise TypeError("it lacks self")
    return None


def _misfit(method: Method, function: Callable[..., Any]) -> str:
    """What is wrong with a function's parameters; empty if nothing is."""
    try:
        signature = _signature(function)
    except TypeError:
        return "() takes no parameter at all, not even self"
    if signature is None:
        return ""
    wanted = method.parameters
    taken = list(signature.parameters.values())
    named = [one for one in taken if one.kind in _NAMED]
    extra = [one.name for one in named[len(wanted) :] if one.default is _NO_DEFAULT]
    unreachable = [one.name for one in taken if one.kind is _KEYWORD_ONLY and one.default is _NO_DEFAULT]
    shown = f"{_shown(signature)} "
    if unreachable:
        return f"{shown}would never be given {', '.join(unreachable)}: arguments come by position, in the IDL's order"
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in taken):
        wanted = wanted[: len(named)]
    elif len(named) < len(wanted):
        lost = ", ".join(one.name for one in wanted if not any(_same(one.name, other.name) for other in named))
        return f"{shown}does not take {lost or f'{len(wanted)} arguments'}"
    wrong = _wrong_names(method, wanted, named)
    if wrong:
        return f"{shown}{wrong}"
    if extra:
        return f"{shown}wants {', '.join(extra)}, which the IDL does not have; give it a default, or the IDL the field"
    return _wrong_defaults(wanted, named)


def _shown(signature: inspect.Signature) -> str:
    bare = [one.replace(annotation=_NO_DEFAULT) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=_NO_DEFAULT))


def _wrong_names(method: Method, wanted: Sequence[Parameter], named: Sequence[inspect.Parameter]) -> str:
    """The complaint about parameters of other names: arguments are passed by position, so such a parameter would get
    another one's value."""
    for place, (theirs, ours) in enumerate(zip(wanted, named, strict=False)):
        if theirs.name == ours.name or (_same(theirs.name, ours.name) and not _is_of_another(method, ours.name)):
            continue
        if any(_same(one.name, ours.name) for one in method.parameters):
            return f"has another order than the IDL: {ours.name} would be given {theirs.name}"
        if ours.kind is not _POSITIONAL_ONLY and not ours.name.startswith("_"):
            alike = "" if _alike(ours.name, [theirs.name]) else "; if another name is meant, end the parameters with /"
            return f"calls parameter {place + 1} {ours.name}, and the IDL {theirs.name}{alike}"
    return ""


def _is_of_another(method: Method, name: str) -> bool:
    """Whether the IDL has a parameter of exactly this name: ``id_`` stands for ``id`` only if there is no ``id_``."""
    return any(one.name == name for one in method.parameters)


def _same(theirs: str, ours: str) -> bool:
    return theirs == ours or _plain(theirs) == _plain(ours)


def _plain(name: str) -> str:
    """The name in the form in which names are compared: ``from_`` equals ``from``, ``_id`` equals ``id``, ``user_id``
    equals ``userId``."""
    return name.replace("_", "").lower()


def _wrong_defaults(wanted: Sequence[Parameter], named: Sequence[inspect.Parameter]) -> str:
    for theirs, ours in zip(wanted, named, strict=False):
        if ours.default is _NO_DEFAULT or ours.default is None or theirs.default is None:
            continue
        if not _equal(ours.default, theirs.default):
            return (
                f" has {ours.default!r:.60} as the default of {ours.name}, and the IDL {theirs.default!r:.60}, "
                "which is the one that counts"
            )
    return ""


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # an array of numpy for one, which has no truth
        return False


# Warnings


def _warnings(interface: Interface, handler: object, owner: str) -> Iterator[str]:
    for method in interface.methods.values():
        if method.refusal:
            yield f"{interface.name}.{method.name} is not served: {method.refusal}"
            continue
        function = generic_of(handler, method.name) or getattr(handler, method.name)
        signature = _signature(function)
        named = [one for one in signature.parameters.values() if one.kind in _NAMED] if signature is not None else []
        for theirs, ours in zip(method.parameters, named, strict=False):
            unset = ours.default is _NO_DEFAULT or ours.default is None
            if not unset and theirs.default is None and not theirs.required:
                yield (
                    f"{place_of(function, handler)}the default {ours.default!r:.60} of {owner}.{method.name}'s "
                    f"{ours.name} is never used, it is None when a caller leaves it out; write the default into the "
                    f"IDL{_declared(method)}"
                )
    yield from _strangers(interface, handler, owner)


def _strangers(interface: Interface, handler: object, owner: str) -> Iterator[str]:
    """Methods whose name is nearly that of a method that zkrpc calls, if that one does not exist in the handler."""
    known = [*interface.methods, *_HOOKS]
    for cls in type(handler).__mro__[:-1]:
        own = [name for name, one in vars(cls).items() if inspect.isroutine(one)]
        for name in own:
            alike = "" if name in known or name.startswith("_") else _alike(name, known)
            if alike and alike not in own:
                place = place_of(getattr(handler, name, None), handler)
                yield f"{place}{owner}.{name} is never called by zkrpc; is {alike} meant?"


def _public_methods(handler: object) -> list[str]:
    return [name for cls in type(handler).__mro__[:-1] for name in vars(cls) if not name.startswith("_")]


def _alike(name: str, others: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, others, n=1, cutoff=_LIKENESS)
    return found[0] if found else ""


# Places


def _parameter_names(function: object) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters) if callable(function) else ()
    except (TypeError, ValueError):
        return ()


def place_of(subject: object, otherwise: object = None) -> str:
    """``file:line: `` of a method in its author's source, or else of the handler's class, or else nothing."""
    while isinstance(subject, functools.partial):
        subject = subject.func
    try:
        subject, code = _source_of(subject)
    except Exception:  # its __getattr__ raises something else than AttributeError
        code = None
    if code is not None and isinstance(code.co_filename, str):  # and no mock's
        return f"{code.co_filename}:{code.co_firstlineno}: "
    cls = subject if isinstance(subject, type) else type(subject)
    for base in cls.__mro__[:-1]:  # a class that was made while the program ran is nowhere; what it is made of is
        try:
            return f"{inspect.getsourcefile(base)}:{inspect.getsourcelines(base)[1]}: "
        except (OSError, TypeError):
            continue
    return place_of(otherwise) if otherwise is not None else ""


def _source_of(subject: Any) -> tuple[object, Any]:
    """What a decorated function or method stands for, and its code; None without."""
    try:
        subject = inspect.unwrap(subject)
    except ValueError:  # a __wrapped__ that leads back to itself
        pass
    code = getattr(getattr(subject, "__func__", subject), "__code__", None)
    if code is None and not isinstance(subject, type):
        code = getattr(getattr(type(subject), "__call__", None), "__code__", None)
    return subject, code
