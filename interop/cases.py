"""The calls of the matrix, and what must come of each. Pure: it knows the classes of no library, they are handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

IDL = Path(__file__).with_name("matrix.thrift")
TEXT = "grüße, 世界 🙂"
LONG = " ".join(map(str, range(17_000)))
"""Some 100 000 characters."""
MANY = 10_000


class Thrown(NamedTuple):
    """A declared exception must come."""

    name: str
    fields: Mapping[str, Any]


class Failed(NamedTuple):
    """A failure of Thrift's own must come, of that type: 1 for a method that is not there, 6 for what is undeclared."""

    kind: int


class Call(NamedTuple):
    """One call as part of a case."""

    case: str
    method: str
    arguments: tuple[Any, ...]
    outcome: Any


def sample(types: Any) -> Any:
    """A struct with everything in it."""
    point = types.Point
    return types.Everything(
        yes=True,
        no=False,
        tiny=-128,
        small=-32768,
        medium=2**31 - 1,
        large=-(2**63),
        ratio=0.1,
        text=TEXT,
        raw=bytes(range(256)),
        colour=5,
        point=point(x=1, y=-1),
        points=[point(x=number, y=-number) for number in range(20)],
        numbers={1, -1, 1000},
        table={"one": [1], "none": [], TEXT: [2**40, -1]},
        nested={-5: {70000: point(x=1, y=2)}, 5: {}},
        bits=[True, False, True],
    )


def calls(types: Any) -> Iterator[Call]:
    """All cases, in the order in which every client makes them on one connection."""
    yield Call("void", "nothing", (), None)
    for case, method, values in _echoes(types):
        for value in values:
            yield Call(case, method, (value,), value)
    yield Call("their sample", "sample", (), sample(types))
    yield Call("our sample", "check", (sample(types),), True)
    yield Call("several arguments", "several", (1, "two", [0, 0, 0]), "1 two 3")
    refused = Thrown("Refused", {"code": 7, "why": TEXT})
    missing = Thrown("Missing", {"item": "it", "place": types.Point(x=3, y=4)})
    yield Call("declared", "refuse", ("refused",), refused)
    yield Call("second declared", "refuse", ("missing",), missing)
    yield Call("declared or a value", "lookup", (-1,), missing)
    yield Call("declared or a value", "lookup", (21,), 42)
    yield Call("undeclared", "refuse", ("otherwise",), Failed(6))
    yield Call("after undeclared", "text", ("a",), "a")
    yield Call("unknown", "added", (), Failed(1))
    yield Call("after unknown", "text", ("b",), "b")
    yield Call("oneway", "note", ("noted",), None)
    yield Call("after oneway", "noted", (), ["noted"])
    yield Call("inherited", "inherited", ("c",), "c")


def _echoes(types: Any) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """The cases whose answer is what was sent: the case, the method, the values."""
    yield "bool", "flag", (True, False)
    yield "i8", "tiny", (-128, 127, 0)
    yield "i16", "small", (-(2**15), 2**15 - 1)
    yield "i32", "medium", (-(2**31), 2**31 - 1)
    yield "i64", "large", (-(2**63), 2**63 - 1, 2**53 + 1)
    yield "double", "ratio", (0.1, -1.5e300, 5e-324, float("inf"))
    yield "text", "text", ("", TEXT)
    yield "long text", "text", (LONG,)
    yield "binary", "raw", (b"", bytes(range(256)))
    yield "enum", "colour", (1, 5)
    yield "struct", "everything", (sample(types),)
    yield "optional fields", "sparse", (types.Sparse(far=7), types.Sparse(yes=False, text="", numbers=[]))
    yield "list", "numbers", ([], [1, -1, 2**31 - 1])
    yield "long list", "numbers", (list(range(MANY)),)
    yield "set", "names", (set(), {"a", "b", TEXT})
    yield "map", "table", ({}, {"": 0, TEXT: -1})
    yield "long map", "table", ({str(number): number for number in range(1000)},)
    yield "nested", "nested", ([], [[], [[]], [[1], [2, 3]]])


_PLAIN = SimpleNamespace(Everything=dict, Sparse=dict, Point=dict)
NAMES = tuple(dict.fromkeys(call.case for call in calls(_PLAIN)))
"""The cases, in their order."""
_FIELDS = {"Refused": ("code", "why"), "Missing": ("item", "place")}
OK = "ok"
"""What is said of a case that came out right; anything else is what was wrong."""


def ask(
    client: Any, types: Any, failure: type[Exception], kind_of: Callable[[Exception], int]
) -> Iterator[tuple[str, str]]:
    """Makes all calls; after each case its name, and ``OK`` or what was wrong.

    ``failure`` is the library's class for what is not declared, and ``kind_of`` tells its type. An error that is none
    of these ends the cases, as it ends the connection.
    """
    for case, parts in groupby(calls(types), key=lambda call: call.case):
        wrong = [told for call in parts if (told := _outcome(client, call, types, failure, kind_of))]
        yield case, "; ".join(wrong) or OK


def _outcome(client: Any, call: Call, types: Any, failure: type[Exception], kind_of: Callable[[Exception], int]) -> str:
    """What was wrong with the outcome; empty if nothing was."""
    try:
        came: Any = getattr(client, call.method)(*call.arguments)
    except (types.Refused, types.Missing) as error:
        name = type(error).__name__
        came = Thrown(name, {field: getattr(error, field) for field in _FIELDS[name]})
    except failure as error:
        came = Failed(kind_of(error))
    _settle(came, call.outcome)
    if isinstance(call.outcome, set) and isinstance(came, list):
        came = set(came)
    return "" if came == call.outcome else f"{call.method}: {_difference(came, call.outcome)}"


def _settle(came: Any, due: Any) -> None:
    """Some libraries read a set into a list."""
    if hasattr(due, "nested") and isinstance(getattr(came, "numbers", None), list):
        came.numbers = set(came.numbers)


def _difference(came: Any, due: Any) -> str:
    """What is in place of what, in structs only the fields that differ."""
    if type(came) is type(due) and hasattr(due, "__dict__"):
        names = [name for name in vars(due) if getattr(came, name, None) != getattr(due, name)]
        return ", ".join(f"{name}: {_difference(getattr(came, name), getattr(due, name))}" for name in names)
    return f"{excerpt(came)} in place of {excerpt(due)}"


class Handler:
    """Serves ``Matrix`` with the classes of any Python library; ``seen`` holds every call that reached it.

    The methods that answer with what they were given are added below.
    """

    def __init__(self, types: Any) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self._types = types
        self._noted: list[str] = []

    def nothing(self) -> None:
        self.seen.append(("nothing",))

    def sample(self) -> Any:
        self.seen.append(("sample",))
        return sample(self._types)

    def check(self, value: Any) -> bool:
        self.seen.append(("check", value))
        _settle(value, sample(self._types))
        return bool(value == sample(self._types))

    def several(self, first: int, second: str, third: list[int]) -> str:
        self.seen.append(("several", first, second, third))
        return f"{first} {second} {len(third)}"

    def refuse(self, how: str) -> None:
        self.seen.append(("refuse", how))
        if how == "refused":
            raise self._types.Refused(code=7, why=TEXT)
        if how == "missing":
            raise self._missing()
        raise ValueError("a secret detail")

    def lookup(self, key: int) -> int:
        self.seen.append(("lookup", key))
        if key < 0:
            raise self._missing()
        return 2 * key

    def note(self, text: str) -> None:
        self.seen.append(("note", text))
        self._noted.append(text)

    def noted(self) -> list[str]:
        self.seen.append(("noted",))
        return self._noted

    def inherited(self, text: str) -> str:
        self.seen.append(("inherited", text))
        return text

    def _missing(self) -> Exception:
        error: Exception = self._types.Missing(item="it", place=self._types.Point(x=3, y=4))
        return error


def _add_echo(name: str) -> None:
    def echo(self: Handler, value: Any) -> Any:
        self.seen.append((name, value))
        return value

    setattr(Handler, name, echo)


for _name in dict.fromkeys(method for _, method, _ in _echoes(_PLAIN)):
    _add_echo(_name)


def excerpt(value: Any) -> str:
    """The value, cut to what a line of a report holds."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
