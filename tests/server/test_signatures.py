"""Handlers are compared with their interface before anything is served."""

from __future__ import annotations

import functools
import logging
import types
import unittest.mock
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from zkrpc.server.signatures import check_handler, place_of

FILE = Path(__file__).with_name("shapes.thrift")
idl = zkrpc.load(FILE)


class Shapes:
    """A handler that fits."""

    def ping(self) -> None: ...

    def area(self, width: int, height: int) -> int:
        return width * height

    def find(self, prefix: str, limit: int = 10, color: Any = None) -> list[str]:
        return []

    def userAge(self, user_id: int) -> int:
        return user_id

    def note(self, text: str) -> None: ...


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """What decorators usually look like."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return run


def with_area(area: object) -> Shapes:
    """A handler whose ``area`` is this."""
    return type("Shapes", (Shapes,), {"area": area})()


def refusal(handler: object) -> list[str]:
    """The lines of the error: which method, and what is wrong with it."""
    with pytest.raises(zkrpc.ConfigError) as caught:
        check_handler(idl.Shapes, handler)
    head, *lines = str(caught.value).splitlines()
    assert head.endswith("does not fit Shapes:")
    return [line.strip() for line in lines]


def complaint(area: object) -> str:
    """What is said of an ``area``, without the places."""
    (line,) = refusal(with_area(area))
    return line.partition("Shapes.area")[2].rpartition(" [")[0]


class Callable_:
    """An object that is called like a method."""

    def __call__(self, width: int, height: int) -> int:
        return width * height


class AsyncCallable:
    """One that is awaited."""

    async def __call__(self, width: int, height: int) -> int:
        return width * height


class AsyncGenerator:
    """One that nobody would iterate."""

    async def __call__(self, width: int, height: int) -> AsyncIterator[int]:
        yield width * height


class Flexible:
    """Methods of many kinds, all of which work."""

    ping: Any = staticmethod(lambda: None)
    area: Any = Callable_()
    find: Any = staticmethod(functools.partial(lambda log, prefix, limit, color: [], None))

    @classmethod
    def userAge(cls, userId: int) -> int:
        return userId

    @logged
    def note(self, text: str) -> None: ...


class Loose:
    """Methods that take what comes."""

    def ping(self, *args: Any, **kwargs: Any) -> None: ...

    def area(self, width: int, *rest: int) -> int:
        return width

    def find(self, _prefix: str, _: int, color_: Any, verbose: bool = False, *, log: Any = None) -> list[str]:
        return []

    def userAge(self, anything: int, /) -> int:
        return anything

    note: Any = print


@pytest.mark.parametrize(
    "handler",
    [
        Shapes(),
        Flexible(),
        Loose(),
        unittest.mock.Mock(),
        unittest.mock.create_autospec(Shapes, instance=True),
        types.SimpleNamespace(**{n: getattr(Shapes(), n) for n in idl.Shapes.methods}),
    ],
    ids=lambda handler: type(handler).__name__,
)
def test_handler_that_can_be_called_rightly_fits(handler: object, caplog: pytest.LogCaptureFixture) -> None:
    """Methods, static ones, class methods, partials, objects, decorated ones, builtins, ``*args``; without a word."""
    check_handler(idl.Shapes, handler)
    assert caplog.records == []


class Generic(Shapes):
    """Finds by the kind of what it is asked for."""

    @functools.singledispatchmethod
    def find(self, prefix: Any, limit: int = 10, color: Any = None) -> list[str]:
        return []

    @find.register
    def _(self, prefix: str, limit: int = 10, color: Any = None) -> list[str]:
        return [prefix]

    @functools.singledispatchmethod
    @classmethod
    def note(cls, text: Any) -> None: ...


def test_method_that_dispatches_by_type_is_judged_by_its_generic_function(caplog: pytest.LogCaptureFixture) -> None:
    """It fits as any other does, and is refused as any other is."""
    check_handler(idl.Shapes, Generic())
    assert caplog.records == []

    class Swapped(Shapes):
        @functools.singledispatchmethod
        def area(self, height: int, width: int) -> int:
            return width * height

    (line,) = refusal(Swapped())
    assert "has another order than the IDL" in line


class Strict(Shapes):
    """Says KeyError where Python expects AttributeError."""

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


def test_handler_that_raises_something_else_for_what_is_missing_is_told() -> None:
    """In words, and not by a traceback through zkrpc; the methods are read one by one, and each is told."""
    with pytest.raises(zkrpc.ConfigError, match="Strict.on_elected cannot be read: KeyError: 'on_elected'; "):
        check_handler(idl.Shapes, Strict())

    class Empty:
        def __getattr__(self, name: str) -> Any:
            raise KeyError(name)

    with pytest.raises(zkrpc.ConfigError, match="Empty.* cannot be read: KeyError"):
        check_handler(idl.Shapes, Empty())


def test_mock_is_judged_like_any_handler() -> None:
    """With the place of its class, for it has no code of its own. One that says yes to everything has hooks as well,
    and those are async; one that keeps to a class's parameters is judged by them."""
    first, *_ = refusal(unittest.mock.AsyncMock())
    assert "mock.py:" in first and "AsyncMock.on_elected is async" in first and "<Mock" not in first

    class Swapped(Shapes):
        def area(self, height: int, width: int) -> int:
            return width * height

    (line,) = refusal(unittest.mock.create_autospec(Swapped, instance=True))
    assert "has another order than the IDL" in line


def test_parameters_that_changed_places_are_refused() -> None:
    """They would be served without a word, each with the other's value; the line names both places."""

    class Swapped(Shapes):
        def area(self, height: int, width: int) -> int:  # type: ignore[override]  # the mistake
            return width * height

    (line,) = refusal(Swapped())
    where = f"{__file__}:{Swapped.area.__code__.co_firstlineno}: "
    assert line == (
        f"{where}Swapped.area(height, width) has another order than the IDL: height would be given width "
        f"[{FILE}:6: area(width, height)]"
    )


async def coroutine(self: Any, width: int, height: int) -> int:
    """Awaited by the server."""
    return 1


async def coroutines(self: Any, width: int, height: int) -> AsyncIterator[int]:
    """Nobody iterates it."""
    yield 1


def generator(self: Any, width: int, height: int) -> Iterator[int]:
    """Nor this."""
    yield 1


@pytest.mark.parametrize(
    ("area", "wanted"),
    [
        (lambda self: 1, "() does not take width, height"),
        (lambda self, width: 1, "(width) does not take height"),
        (lambda self, w, h: 1, "(w, h) calls parameter 1 w, and the IDL width; if another name is meant, end the"),
        (lambda self, width, hight: 1, "(width, hight) calls parameter 2 hight, and the IDL height"),
        (lambda self, height, width, /: 1, "(height, width, /) has another order than the IDL"),
        (lambda self, height, *rest: 1, "(height, *rest) has another order than the IDL: height would be given width"),
        (lambda self, width, height, depth: 1, "(width, height, depth) wants depth, which the IDL does not have"),
        (lambda self, width, height, *, unit: 1, "(width, height, *, unit) would never be given unit: arguments come"),
        (lambda self, **kwargs: 1, "(**kwargs) does not take width, height"),
        (lambda: 1, "() takes no parameter at all, not even self"),
        (lambda width, height: 1, "(height) does not take width"),
        (staticmethod(lambda self, width, height: 1), "(self, width, height) calls parameter 1 self, and the IDL wid"),
        (logged(lambda self, height, width: 1), "(height, width) has another order than the IDL"),
        (functools.partialmethod(lambda self, width, height: 1, 1), "(height) does not take width"),
        (
            staticmethod(functools.partial(lambda width, height: 1, height=2)),
            "(width, *, height=2) does not take height",
        ),
        (functools.partialmethod(coroutine, 1), "(height) does not take width"),
        (coroutines, " is async, and nobody would await it; zkrpc uses gevent: write def"),
        (AsyncGenerator(), " is async"),
        (generator, " is a generator, and nothing would iterate it; return a list"),
        (None, " is missing; write def area(self, width, height)"),
        (7, " is 7, which cannot be called; write def area(self, width, height)"),
        (property(lambda self: 1 / 0), " cannot be read: ZeroDivisionError: division by zero"),
    ],
)
def test_method_that_cannot_be_called_rightly_is_refused(area: object, wanted: str) -> None:
    """By number, by name, by order, or because nothing would run."""
    assert complaint(area).startswith(wanted)


@pytest.mark.parametrize("area", [coroutine, functools.partialmethod(coroutine), AsyncCallable()])
def test_async_method_fits_by_the_same_rules(area: object) -> None:
    """It is awaited on the server's event loop."""
    check_handler(idl.Shapes, with_area(area))


def test_default_that_differs_is_refused_and_one_that_is_never_used_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The IDL's default comes with every call, so another one in Python never counts."""

    class Other(Shapes):
        def find(self, prefix: str, limit: int = 20, color: Any = None) -> list[str]:
            return []

    (line,) = refusal(Other())
    assert "Other.find has 20 as the default of limit, and the IDL 10, which is the one that counts [" in line

    class Unused(Shapes):
        def find(self, prefix: str, limit: int = 10, color: Any = idl.Color.RED) -> list[str]:
            return []

        def note(self, text: str = "nothing") -> None: ...

    check_handler(idl.Shapes, Unused())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.message.startswith(f"{__file__}:")
    assert (
        "the default 1 of Unused.find's color is never used, it is None when a caller leaves it out" in record.message
    )


def test_everything_is_said_at_once_and_in_the_order_of_the_idl() -> None:
    """One line each, inherited methods first; a misspelt one is recognised."""

    class Many:
        def pong(self) -> None: ...

        def area(self, width: int) -> int:
            return width

        def finds(self, prefix: str) -> list[str]:
            return []

        def note(self, text: str) -> Iterator[None]:
            yield

        userAge = 3

    lines = refusal(Many())
    assert [line.partition("Many.")[2].split(";")[0].split(" [")[0] for line in lines] == [
        "ping is missing",
        "area(width) does not take height",
        "find is missing",
        "userAge is 3, which cannot be called",
        "note is a generator, and nothing would iterate it",
    ]
    assert all(line.startswith(f"{__file__}:") for line in lines)
    assert "; is Many.finds meant? [" in lines[2] and lines[0].endswith(f"[{FILE}:3: ping()]")


def test_method_that_is_nearly_called_like_one_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """An override or a hook with a slip of the pen; not a second method beside the right one, or a private one."""

    class Slips(Shapes):
        def aera(self, width: int, height: int) -> int:
            return 0

        def on_electd(self, leadership: Any) -> None: ...

        def note(self, text: str) -> None: ...

        def notes(self) -> list[str]:
            return []

        def _find(self) -> None: ...

    check_handler(idl.Shapes, Slips())
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "Slips.aera is never called by zkrpc; is area meant?",
        "Slips.on_electd is never called by zkrpc; is on_elected meant?",
    ]


def test_class_instead_of_an_object_is_recognised() -> None:
    """As a function makes it that forgot to call it."""
    with pytest.raises(zkrpc.ConfigError, match=r"the handler is the class Shapes itself.*write Shapes\(\)"):
        check_handler(idl.Shapes, Shapes)


def test_decorator_that_changes_the_parameters_says_so() -> None:
    """``__signature__`` is Python's own way of it."""

    def with_database(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(self: Any, *args: Any) -> Any:
            return function(self, "database", *args)

        import inspect

        signature = inspect.signature(function)
        rest = [one for name, one in signature.parameters.items() if name != "database"]
        run.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]  # Python's own word
        return run

    check_handler(idl.Shapes, with_area(with_database(lambda self, database, width, height: 1)))


def test_names_that_python_has_no_room_for_can_be_served(tmp_path: Path) -> None:
    """``self``, words of the language and names with underscores; the advice for them is one that can be followed."""
    file = tmp_path / "odd.thrift"
    file.write_text("service Odd { i32 import(1: i32 self, 2: i32 class, 3: i32 _id, 4: i32 id) }")
    odd = zkrpc.load(file).Odd

    class Handler:
        def import_(self, self_: int, class_: int, _id: int, id: int) -> int:
            return self_ + class_ + _id - id

    with pytest.raises(zkrpc.ConfigError) as caught:
        check_handler(odd, Handler())
    advice = "write def import_(self, self_, class_, _id, id), and below the class: setattr(Handler, 'import', "
    assert f"Handler.import is missing; {advice}Handler.import_) [" in str(caught.value)
    setattr(Handler, "import", Handler.import_)
    check_handler(odd, Handler())
    setattr(Handler, "import", lambda self, self_, class_, id, _id: 0)
    with pytest.raises(zkrpc.ConfigError, match="another order than the IDL: id would be given _id"):
        check_handler(odd, Handler())


@pytest.mark.parametrize("name", ["on_elected", "on_deposed"])
def test_hook_that_would_do_nothing_is_refused(name: str) -> None:
    """A claim that nobody awaits would leave the store open to earlier primaries, without a word."""

    async def hook(self: Any, leadership: Any) -> None:
        raise AssertionError("never run")

    handler = type("Electing", (Shapes,), {name: hook})()
    (line,) = refusal(handler)
    assert line.startswith(
        f"{__file__}:{hook.__code__.co_firstlineno}: Electing.{name} is async, and nobody would await"
    )


class Unbound:
    """A class whose methods need no object."""

    ping: Any = staticmethod(lambda: None)
    area: Any = staticmethod(lambda width, height: width * height)
    note: Any = max  # written in C, and without a signature

    @classmethod
    def find(cls, prefix: str, limit: int, color: Any) -> list[str]:
        return []

    @classmethod
    def userAge(cls, user_id: int) -> int:
        return user_id


@pytest.mark.parametrize("handler", [Unbound, Unbound()], ids=["class", "object"])
def test_class_whose_methods_need_no_object_may_serve(handler: object, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody forgot to call it; and what has no signature is not judged."""
    check_handler(idl.Shapes, handler)
    assert caplog.records == []


def test_method_whose_signature_is_nonsense_is_not_judged(caplog: pytest.LogCaptureFixture) -> None:
    """As those of mocks are in some versions of Python: it can be called, and nothing is known against it."""

    class Unsaid(Shapes):
        def area(self, *sides: int) -> int:
            return sides[0]

    Unsaid.area.__signature__ = 3  # type: ignore[attr-defined]  # the mistake
    check_handler(idl.Shapes, Unsaid())
    assert caplog.records == []


def circular(function: Any) -> Any:
    """What a decorator does that gets ``__wrapped__`` wrong."""
    function.__wrapped__ = function
    return function


def test_method_that_is_said_to_wrap_itself_is_judged_by_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """Its parameters cannot be told, and it can be called; its own code still says what it is and where."""

    @circular
    def area(self: Any, *sides: int) -> int:
        return 0

    @circular
    def areas(self: Any, width: int, height: int) -> Iterator[int]:
        yield 1

    check_handler(idl.Shapes, with_area(area))
    assert caplog.records == []
    (line,) = refusal(with_area(areas))
    assert line.startswith(f"{__file__}:{areas.__code__.co_firstlineno}: Shapes.area is a generator")


def test_default_that_cannot_be_compared_is_another_one() -> None:
    """As an array is, whose comparison is neither true nor false."""

    class Torn:
        """Like an array of two numbers."""

        def __eq__(self, other: object) -> Any:
            return self

        def __bool__(self) -> bool:
            raise ValueError("the truth of an array is ambiguous")

        def __repr__(self) -> str:
            return "array([1, 2])"

    handler = type("Arrays", (Shapes,), {"find": lambda self, prefix, limit=Torn(), color=None: []})()
    (line,) = refusal(handler)
    assert "Arrays.find has array([1, 2]) as the default of limit, and the IDL 10" in line


def test_method_that_is_not_served_is_not_asked_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why, and the rest of the interface is served."""
    maps = zkrpc.idl.load_text("service Maps { void ping(), void put(1: set<map<i32, i32>> maps) }").Maps
    check_handler(maps, Shapes())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == f"Maps.put is not served: {maps.methods['put'].refusal}"
    assert "cannot be held by Python" in record.message


def test_place_is_of_the_handler_for_what_was_written_in_c_and_nothing_where_nobody_knows() -> None:
    """A line never begins with the place of something else."""
    (line,) = refusal(with_area(len))
    assert place_of(Shapes).startswith(f"{__file__}:") and line.startswith(f"{place_of(Shapes)}Shapes.area(obj")
    functions = {name: getattr(Shapes(), name) for name in idl.Shapes.methods if name != "area"}
    (line,) = refusal(types.SimpleNamespace(**functions))
    assert line.startswith("SimpleNamespace.area is missing; ")
    assert place_of(len) == "" and place_of(len, max) == ""
