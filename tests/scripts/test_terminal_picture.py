"""A terminal's recording as a picture, and the one in the README."""

from __future__ import annotations

import re
from types import SimpleNamespace
from xml.etree import ElementTree

from terminal_picture import CLEAR, Screen, draw, screens

from faults.demo import acts
from tests.support.programs import ROOT

_SVG = "{http://www.w3.org/2000/svg}"


def _drawn(*lines: str, more: tuple[Screen, ...] = ()) -> ElementTree.Element:
    """The picture of a screen with these lines."""
    text = draw([Screen(1.0, lines), *more], title="a < b", about='"c" & d', columns=20, rows=4)
    return ElementTree.fromstring(text)


def _texts(picture: ElementTree.Element) -> list[str]:
    return ["".join(one.itertext()) for one in picture.iter(f"{_SVG}text")]


def test_each_clearing_begins_a_screen_that_lasts_until_the_next() -> None:
    """Three seconds at most, the last one longer."""
    written = [(0.0, f"{CLEAR}one\r\n"), (1.5, f"{CLEAR}two\r\n"), (9.0, f"{CLEAR}three\r\n")]
    assert screens(written, 5) == [Screen(1.5, ("one",)), Screen(3.0, ("two",)), Screen(12.0, ("three",))]
    assert screens([], 5) == []


def test_what_is_written_in_one_go_is_one_change() -> None:
    """However it was read: a clearing may come in two pieces. What changes nothing is no change."""
    written = [(0.0, CLEAR[:3]), (0.01, f"{CLEAR[3:]}one\n"), (0.02, "more\n"), (5.0, f"{CLEAR}one\nmore\n")]
    assert screens([*written, (6.0, "last\n")], 5) == [
        Screen(3.0, ("one", "more")),
        Screen(12.0, ("one", "more", "last")),
    ]


def test_a_screen_has_the_last_rows() -> None:
    """As a terminal scrolls."""
    assert screens([(0.0, "1\n2\n3\n4\n")], 3) == [Screen(12.0, ("2", "3", "4"))]


def test_styles_become_classes_and_text_stays_text() -> None:
    """Of escapes that mean nothing here, nothing is left."""
    picture = _drawn("\x1b[1mbold\x1b[0m \x1b[31m<red>\x1b[0m & \x1b[7mplain\x1b[0m", "", "  x")
    assert _texts(picture) == ["a < b", "bold <red> & plain", "  x"]
    spans = {one.text: one.get("class") for one in picture.iter(f"{_SVG}tspan")}
    assert spans == {"bold": "b", "<red>": "r"}
    assert picture.get("aria-label") == '"c" & d'


def test_screens_follow_one_another_on_a_strip() -> None:
    """One below the other, each moved into the window at its time; a single one has nothing that moves."""
    picture = _drawn("one", more=(Screen(2.0, ("two",)), Screen(1.0, ("three",))))
    style = picture.findtext(f"{_SVG}style") or ""
    window = picture.find(f"{_SVG}svg")
    assert window is not None
    high = int(window.get("height", "0"))
    stops = re.findall(r"([\d.]+)%\{transform:translateY\((-?\d+)px\)\}", style)
    assert stops == [("0.000", "0"), ("25.000", str(-high)), ("75.000", str(-2 * high))]
    assert "animation:play 4.0s step-end" in style
    places = [int(one.get("y", "0")) for one in window.iter(f"{_SVG}text")]
    assert [place - places[0] for place in places] == [0, high, 2 * high]
    assert "animation" not in (_drawn("one").findtext(f"{_SVG}style") or "")


def test_picture_in_the_readme_is_of_this_demo() -> None:
    """Light enough for a page, with every act that the demo has and its good end: scripts/screenshots.py demo."""
    zookeeper = SimpleNamespace(stop_all=None, start_all=None)
    titles = [act.title for act in acts(SimpleNamespace(zookeeper=zookeeper), 0.0, 0.0)]  # type: ignore[arg-type]
    readme = (ROOT / "README.md").read_text()
    for name in ("demo.svg", "demo-still.svg"):
        file = ROOT / "docs" / name
        assert f'"docs/{name}"' in readme and file.stat().st_size < 100 * 1024
        shown = _texts(ElementTree.fromstring(file.read_text()))
        assert re.fullmatch(r"demo: \d+ checks, all ok, .*", shown[-1])
        if name == "demo.svg":
            assert not [title for title in titles if f"  {title}" not in shown]
