"""The dashboard on a live service of three, in a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import zkrpc
from tests.support.browser import browser
from tests.support.programs import Programs
from tests.support.waiting import eventually
from zkrpc.dashboard.server import MOST_STREAMS

pytestmark = pytest.mark.zookeeper

PAGES = (
    "/",
    "/primaries",
    "/events",
    "/lint",
    "/services/ledger",
    "/services/ledger/primaries",
    "/services/ledger/methods",
    "/services/ledger/methods/transfer",
    "/services/ledger/config",
    "/services/ledger/callers",
    "/nothing",
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """The processes of all tests here."""
    started = Programs(tmp_path_factory.mktemp("dashboard"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def hosts(zookeeper_server: Any) -> str:
    """A ZooKeeper root of this module's own."""
    return f"{zookeeper_server.hosts}/dashboard-{os.getpid()}"


@pytest.fixture(scope="module")
def address(programs: Programs, hosts: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger of three replicas, and the dashboard's address."""
    folder = tmp_path_factory.mktemp("ledger")
    database = str(folder / "ledger.sqlite")
    for number in (1, 2, 3):
        arguments = ("serve", "examples.ledger:service", "--zookeeper", hosts, "--id", f"r{number}")
        programs.python("-m", "zkrpc", *arguments, LEDGER_DATABASE=database)
    with zkrpc.Registry(hosts) as registry:
        eventually(lambda: len(registry.resolver("ledger").wait_ready(60).instances) == 3)
    dashboard = programs.python("-m", "zkrpc", "dashboard", "--bind", "127.0.0.1:0", "--zookeeper", hosts)
    eventually(lambda: "http://" in dashboard.output)
    found = re.search(r"http://[0-9.:]+", dashboard.output)
    assert found is not None
    eventually(lambda: "epoch" in fetch(f"{found[0]}/"))
    return found[0]


def members_of(hosts: str) -> dict[str, zkrpc.Instance]:
    """Who is registered, by id. Not to be asked while a browser is steered, which leaves the hub no time."""
    with zkrpc.Registry(hosts) as registry:
        return {one.id: one for one in registry.resolver("ledger").wait_ready(60).instances}


def fetch(url: str) -> str:
    """A page as a program gets it."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


LEADING = "[data-key='ledger/main']"
"""Where the page of primaries says who leads."""


def epoch_on(page: Any) -> int:
    """The epoch of the primary that a page shows; 0 if it shows none, or is about to change."""
    found = re.search(r"primary[^|]*epoch (\d+)", page.inner_text(LEADING)) if page.locator(LEADING).count() else None
    return int(found[1]) if found else 0


def refusal(request: urllib.request.Request) -> int:
    """The status of an answer that is an error."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    refused.value.close()
    return refused.value.code


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong with a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']][:3]}" for one in found]


def test_new_primary_shows_within_two_seconds_and_without_a_reload(address: str, hosts: str) -> None:
    """The primary's process is killed; the open page shows the next one, with its higher epoch."""
    members = members_of(hosts)
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(f"{address}/services/ledger/primaries")
        eventually(lambda: page.inner_text("#live") == "Live")
        page.evaluate("window.notReloaded = true")
        before, epoch = page.inner_text(LEADING), epoch_on(page)
        leader = re.search(r"primary (r\d-0)", before)
        assert leader is not None
        os.kill(int(members[leader[1]].metadata["pid"]), signal.SIGKILL)
        killed_at = time.monotonic()
        eventually(lambda: epoch_on(page) > epoch)
        took = time.monotonic() - killed_at
        assert page.evaluate("window.notReloaded")
        assert leader[1] not in page.inner_text(LEADING)
        print(f"shown after {took:.2f} s")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_have_no_violations_of_accessibility(address: str, scheme: Any, width: int) -> None:
    """By axe-core, in light and dark, on a desk and on a phone; and no page scrolls sideways as a whole."""
    with browser() as chromium:
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        page = context.new_page()
        for path in PAGES:
            page.goto(f"{address}{path}")
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_pages_are_whole_without_scripts(address: str) -> None:
    """And reload by themselves."""
    with browser() as chromium:
        page = chromium.new_context(java_script_enabled=False).new_page()
        page.goto(f"{address}/")
        assert "ledger" in page.inner_text("main") and "epoch" in page.inner_text("main")
        assert page.locator("noscript").count() and 'http-equiv="refresh"' in page.content()
        page.click("text=ledger")
        assert "r1-0" in page.inner_text("main") and "serving" in page.inner_text("main")
        page.fill("#filter", "x")
        page.goto(f"{address}/services/ledger/methods/balance?arguments=%7B%22account%22%3A%22a%22%7D")
        assert 'zkrpc call ledger.balance \'{"account":"a"}\'' in page.inner_text("main")


def test_keyboard_reaches_everything(address: str) -> None:
    """The first tab stop skips to the content; the filter narrows the table as one types."""
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(f"{address}/services/ledger")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.focus("#filter")
        page.keyboard.type("r2")
        assert page.locator("tbody tr:visible").count() == 1
        # What comes from the stream meanwhile takes neither the text nor the focus away.
        page.wait_for_timeout(2500)
        assert page.input_value("#filter") == "r2" and page.locator("tbody tr:visible").count() == 1


def test_nothing_is_fetched_from_elsewhere(address: str) -> None:
    """No font, no script, no picture: it works where there is no internet; and the content policy is obeyed."""
    with browser() as chromium:
        page = chromium.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        for path in PAGES[:-1]:
            page.goto(f"{address}{path}")
        assert asked and all(one.startswith((address, "data:")) for one in asked)
        assert complaints == []


def test_page_that_nobody_looks_at_keeps_no_connection(address: str) -> None:
    """A browser has six for all its tabs: a hidden page lets go of its own, and is live again when it is shown."""
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(f"{address}/")
        for hidden, said in ((False, "Live"), (True, "Not live while nobody looks"), (False, "Live")):
            page.evaluate(
                f"""Object.defineProperty(document, "hidden", {{ value: {str(hidden).lower()}, configurable: true }});
                document.dispatchEvent(new Event("visibilitychange"))"""
            )
            eventually(lambda said=said: page.inner_text("#live") == said)


def test_open_pages_do_not_keep_a_new_one_away(address: str) -> None:
    """Streams have a bound of their own, below that of connections; one more is refused, and pages are answered."""
    with contextlib.ExitStack() as streams:
        for _ in range(MOST_STREAMS):
            # Those of the browsers before may not have ended yet.
            stream = eventually_open(f"{address}/stream/")
            streams.enter_context(contextlib.closing(stream))
        assert refusal(urllib.request.Request(f"{address}/stream/")) == 503
        assert "ledger" in fetch(f"{address}/")
    eventually_open(f"{address}/stream/").close()


def eventually_open(url: str) -> Any:
    """A stream, as soon as there may be one more."""
    opened: list[Any] = []

    def is_open() -> bool:
        try:
            opened.append(urllib.request.urlopen(url, timeout=60))
        except urllib.error.HTTPError as error:
            error.close()
        return bool(opened)

    eventually(is_open)
    return opened[0]


def test_odd_addresses_are_answered(address: str) -> None:
    """Percent signs where none are needed mean the same; nonsense is not found or refused, and no page fails."""
    for path in ("/services/l%65dger", "/services%2Fledger", "/services/ledger/primaries?from=%ff"):
        assert "ledger" in fetch(f"{address}{path}")
    for path, status in (("/services/%00", 404), ("/static/../x", 404), ("/stream", 404), (f"/?{'a=1&' * 99}", 400)):
        assert refusal(urllib.request.Request(f"{address}{path}")) == status


def test_foreign_hosts_and_bad_requests_are_refused(address: str) -> None:
    """A name that was made to mean this host, and what is no request."""
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert refusal(urllib.request.Request(f"{address}/", headers=headers)) == 403
    acting = urllib.request.Request(f"{address}/actions/ledger/step-down", data=b"subject=main")
    assert refusal(acting) == 403


def test_actions_need_the_token_and_do_what_they_say(programs: Programs, address: str, hosts: str) -> None:
    """Clicked in the browser: the primary steps down, a method is called, an instance goes offline and comes back."""
    acting = programs.python(
        "-m", "zkrpc", "dashboard", "--bind", "127.0.0.1:0", "--allow-actions", "--zookeeper", hosts
    )
    eventually(lambda: "http://" in acting.output)
    entry = re.search(r"(http://[0-9.:]+)/enter\?token=\S+", acting.output)
    assert entry is not None
    assert refusal(urllib.request.Request(f"{entry[1]}/")) == 401
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(entry[0])
        eventually(lambda: "epoch" in page.inner_text("main"))
        page.goto(f"{entry[1]}/services/ledger/primaries")
        before = epoch_on(page)
        page.click("text=Have it step down")
        eventually(lambda: epoch_on(page) > before)
        page.goto(f"{entry[1]}/services/ledger/methods/total?arguments=%7B%7D")
        page.click("button:has-text('Call')")
        assert "Answer" in page.inner_text("main")
        page.goto(f"{entry[1]}/services/ledger")
        row = page.locator("tr[data-key='r3-0']")
        row.get_by_label("Reason").fill("disk is full")
        row.get_by_text("Take offline").click()
        eventually(lambda: "Out of service, by order" in page.inner_text("main"))
        assert violations(page) == []
    eventually(lambda: "r3-0" not in members_of(hosts))
