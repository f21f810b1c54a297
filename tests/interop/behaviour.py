"""What the service does and what is asked of it, the same whichever library holds the structs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

IDL = Path(__file__).with_name("foreign.thrift")
PATIENCE = 300
"""Milliseconds after which one of the servers leaves an idle client."""
TEXT = "grüße, 世界 🙂"


class Handler:
    """Serves ``Foreign``; ``types`` holds the library's classes, ``sleep`` waits for seconds in the server's way."""

    def __init__(self, types: Any, sleep: Callable[[float], None]) -> None:
        self._types = types
        self._sleep = sleep
        self._notes: list[str] = []

    def ping(self) -> None:
        pass

    def echo(self, text: str) -> str:
        return text

    def rich(self, rich: Any) -> Any:
        return rich

    def fail(self, how: str) -> None:
        if how == "declared":
            raise self._types.Oops(why="as declared", code=7)
        raise ValueError("a secret detail")

    def note(self, text: str) -> None:
        self._notes.append(text)

    def notes(self) -> list[str]:
        return self._notes

    def slow(self, text: str, milliseconds: int) -> str:
        self._sleep(milliseconds / 1000)
        return text


class SecondHandler:
    """Serves ``Second``."""

    def secondtestString(self, thing: str) -> str:
        return f'testString("{thing}")'

    def echo(self, text: str) -> str:
        return f"second {text}"


def ask_both(first: Any, second: Any) -> list[str]:
    """What two services of one port answer, asked in turns, by clients that share a connection."""
    return [first.echo("one"), second.secondtestString("two"), second.echo("three"), first.slow("four", 1)]


BOTH = ["one", 'testString("two")', "second three", "four"]


def sample(types: Any) -> Any:
    """A struct with everything in it."""
    return types.Rich(
        flag=True,
        tiny=-128,
        small=-32768,
        medium=2**31 - 1,
        large=-(2**63),
        ratio=0.1,
        text=TEXT,
        raw=bytes(range(256)),
        points=[types.Point(x=number, y=-number) for number in range(20)],
        table={"one": [1], "none": [], TEXT: [2**40, -1]},
        numbers={1, -1, 1000},
        colour=2,
        places={-5: types.Point(x=1, y=2)},
        bits=[True, False, True],
    )


def plain(rich: Any) -> dict[str, Any]:
    """The struct as JSON can say it; libraries differ in what they read a set into."""
    told = {name: value for name, value in vars(rich).items() if value is not None}
    told["raw"] = bytes(rich.raw).hex()
    told["points"] = [[point.x, point.y] for point in rich.points]
    told["numbers"] = sorted(rich.numbers)
    told["places"] = {str(key): [point.x, point.y] for key, point in rich.places.items()}
    return told


def ask(client: Any, types: Any, failure: type[Exception], note: str) -> dict[str, Any]:
    """Makes every kind of call, and one more after each that failed; what came of it, as JSON can say it."""

    def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except types.Oops as error:
            return ["Oops", error.why, error.code]
        except failure as error:
            return ["failure", getattr(error, "type", None)]

    told = {
        "ping": outcome(client.ping),
        "echo": outcome(client.echo, TEXT),
        "empty": outcome(client.echo, ""),
        "rich": plain(client.rich(sample(types))) == plain(sample(types)),
        "declared": outcome(client.fail, "declared"),
        "after declared": outcome(client.echo, "a"),
        "undeclared": outcome(client.fail, "undeclared"),
        "after undeclared": outcome(client.echo, "b"),
        "unknown": outcome(client.added),
        "after unknown": outcome(client.echo, "c"),
        "oneway": outcome(client.note, note),
    }
    told["noted"] = note in client.notes()
    return told


ANSWERS = {
    "ping": None,
    "echo": TEXT,
    "empty": "",
    "rich": True,
    "declared": ["Oops", "as declared", 7],
    "after declared": "a",
    "undeclared": ["failure", 6],
    "after undeclared": "b",
    "unknown": ["failure", 1],
    "after unknown": "c",
    "oneway": None,
    "noted": True,
}
"""What every client of a server that does everything right is told."""
