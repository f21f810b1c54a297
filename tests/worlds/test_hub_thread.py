"""The thread that makes calls: when it lives, and what is left of it: in forks, and at the end of a program."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import zkrpc
from tests.support.counting import idl, run_program, start_server
from zkrpc.worlds import hub_thread

both_ways = pytest.mark.parametrize("way", ["plain", "patched"])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


def test_last_stub_ends_the_thread(address: str) -> None:
    """One thread for all of them; a closed stub says so, and one that cannot be made leaves nothing."""
    first = zkrpc.threads.connect(idl.Counting, [address])
    with pytest.raises(zkrpc.ConfigError, match="needs zookeeper="):
        zkrpc.threads.connect(idl.Counting, "counting")
    with pytest.raises(zkrpc.ConfigError, match="a Registry belongs to the thread that made it"):
        zkrpc.threads.connect(idl.Counting, "counting", zookeeper=object())
    thread = hub_thread.hub_thread()
    with zkrpc.threads.connect(idl.Counting, [address]) as second:
        assert second.echo("x") == "x" and hub_thread.hub_thread() is thread
    assert first.echo("x") == "x"
    first.close()
    first.close()
    assert thread.ended and not hub_thread.has_hub_thread()
    for call in (first.echo, first.submit.echo):
        with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
            call("x")


def test_closed_program_leaves_no_descriptor_and_no_thread(address: str) -> None:
    """Connecting, calling and closing, over and over."""
    lines = run_program(
        """
        before = held()
        for _ in range(10):
            with zkrpc.threads.connect(idl.Counting, [address]) as stub, zkrpc.threads.connect(idl.Counting, [address]):
                stub.echo("x")
        while holds_more(before): time.sleep(0.01)
        say("as before")
        """,
        address,
    )
    assert lines == ["as before"]


@both_ways
def test_forked_children_have_a_thread_of_their_own(address: str, way: str) -> None:
    """Connected before the fork, used by all; no socket is the parent's, and the parent's calls go on."""
    lines = run_program(
        """
        stub = zkrpc.threads.connect(idl.Counting, [address])
        stub.echo("before")
        mine = sockets()
        waiting = stub.options(timeout=60).submit.nap(1000)

        def work():
            if mine & sockets(): os._exit(3)
            who = str(os.getpid())
            assert [stub.echo(f"{who}-{n}") for n in range(10)] == [f"{who}-{n}" for n in range(10)]
            assert stub.submit.echo("x").result(60) == "x"
            def deeper():
                with stub: assert stub.echo("deeper") == "deeper"
            assert status(child(deeper)) == 0

        def unused():
            stub.close()

        children = [child(work) for _ in range(4)] + [child(unused)]
        say(stub.echo("parent"), mine <= sockets())
        say(*(status(pid) for pid in children), waiting.result(60))
        stub.close()
        """,
        address,
        way,
    )
    assert lines == ["parent True", "0 0 0 0 0 None"]


def test_fork_in_an_interceptor(address: str) -> None:
    """In zkrpc's own thread: the child may call, and ends by itself."""
    lines = run_program(
        """
        def fork(call, proceed):
            if call.method == "add":
                def work():
                    assert zkrpc.threads.connect(idl.Counting, [address]).echo("child") == "child"
                say(status(child(work)))
            return proceed(call)

        with zkrpc.threads.connect(idl.Counting, [address], interceptors=[fork]) as stub:
            say(stub.echo("x"), stub.add("forked"))
        """,
        address,
    )
    assert lines == ["0", "x 1"]


@both_ways
def test_program_ends_with_calls_in_flight(address: str, way: str) -> None:
    """Without waiting for them and without a word: neither futures nor daemons that wait, or call again and again."""
    lines = run_program(
        """
        stub = zkrpc.threads.connect(idl.Counting, [address])
        patient = stub.options(timeout=100)
        futures = [patient.submit.nap(100_000) for _ in range(3)]
        def again():
            while True: stub.echo("x"); time.sleep(0.001)
        for target in (lambda: patient.nap(100_000), again):
            threading.Thread(target=target, daemon=True).start()
        while zkrpc.status(stub).members[0].in_flight < 4: time.sleep(0.01)
        say(time.monotonic())
        """,
        address,
        way,
    )
    assert time.monotonic() - float(lines[0]) < 20
