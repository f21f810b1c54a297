"""Programs with threads, and programs that end without closing anything, in real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zkrpc
from tests.support.counting import run_program, start_server
from zkrpc.belonging import Home


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


def test_home_is_the_hub_of_one_thread() -> None:
    """Where a thing was made it may be used."""
    home = Home("a thing", in_child="leave it", in_thread="leave it")
    assert home.is_here and home.in_process
    home.require()


def test_call_in_another_thread_is_refused_before_anything_is_sent(address: str) -> None:
    """In one sentence that says what to do, also within ``offload``; the thread that has the stub goes on using it."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        said = []

        def call():
            said.append(refused(lambda: stub.add("threads")))
            said.append(refused(lambda: stub.options(timeout=1).add("threads")))
            said.append(refused(stub.close))
            said.append(refused(lambda: zkrpc.explain(stub)))

        for first in (True, False):
            threads = [threading.Thread(target=call) for _ in range(3)]
            for one in threads: one.start()
            for one in threads: one.join()
            zkrpc.offload(call)
            assert stub.add("main") == (1 if first else 2)
        say(len(said), *set(said))
        say(stub.total("threads"))
        stub.close()
        """,
        address,
    )
    assert lines[0].startswith("32 WrongThread Executed.NO ") and "zkrpc.threads.connect()" in lines[0]
    assert lines[1:] == ["0"]


def test_stub_of_a_thread_leaves_nothing_when_it_is_closed(address: str) -> None:
    """No descriptor and no native thread, also where a name had to be looked up; twenty threads, one after another."""
    lines = run_program(
        """
        def call(number):
            for _ in range(2):
                with zkrpc.connect(idl.Counting, [address.replace("127.0.0.1", "localhost")]) as stub:
                    assert stub.echo(str(number)) == str(number)

        before = held()
        for number in range(20):
            one = threading.Thread(target=call, args=(number,)); one.start(); one.join()
        while holds_more(before): time.sleep(0.01)
        say("as before")
        """,
        address,
    )
    assert lines == ["as before"]


def test_stub_of_a_thread_is_freed_with_its_hub_when_it_is_closed(address: str) -> None:
    """Whoever makes a stub for each of many threads that end does not grow by them."""
    lines = run_program(
        """
        import gc
        def call():
            with zkrpc.connect(idl.Counting, [address]) as stub:
                stub.echo("x")

        for _ in range(5):
            one = threading.Thread(target=call); one.start(); one.join()
        del one
        gc.collect()
        kinds = [type(one).__name__ for one in gc.get_objects()]
        say(kinds.count("Hub"), kinds.count("Client"), kinds.count("Connection"))
        """,
        address,
    )
    assert lines == ["0 0 0"]


def test_event_loop_of_asyncio_has_its_calls_made_in_a_thread(address: str) -> None:
    """By an executor of the program's own; the stub that nobody closed ends with the interpreter."""
    lines = run_program(
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor
        one, stub = ThreadPoolExecutor(1), None

        def call(text):
            global stub
            stub = stub or zkrpc.connect(idl.Counting, [address])
            return stub.echo(text)

        async def main():
            loop = asyncio.get_running_loop()
            loop.slow_callback_duration = 60.0  # or development mode complains of a machine with no time for us
            return await asyncio.gather(*(loop.run_in_executor(one, call, str(n)) for n in range(5)))

        say(*asyncio.run(main()))
        """,
        address,
        options=("-X", "dev"),
    )
    assert lines == ["0 1 2 3 4"]


def test_hub_that_a_thread_had_before_stays(address: str) -> None:
    """So does one on which the thread has something else to do when it closes its stub."""
    lines = run_program(
        """
        def own():
            hub = gevent.get_hub()
            with zkrpc.connect(idl.Counting, [address]) as stub: stub.echo("x")
            say(gevent.get_hub() is hub)

        def busy():
            with zkrpc.connect(idl.Counting, [address]) as stub:
                stub.echo("x")
                later = gevent.spawn_later(0.1, lambda: "done")
            say(later.get(timeout=60))

        for work in (own, busy):
            one = threading.Thread(target=work); one.start(); one.join()
        """,
        address,
    )
    assert lines == ["True", "done"]


def test_thread_that_got_the_number_of_one_that_ended_is_another_one(address: str) -> None:
    """A stub whose thread has ended is nobody's, whatever the system calls the next thread."""
    lines = run_program(
        """
        made = []
        first = threading.Thread(target=lambda: made.append(zkrpc.connect(idl.Counting, [address])))
        first.start(); first.join()
        second = threading.Thread(target=lambda: say(refused(lambda: made[0].add("ended")).split(" a stub")[0]))
        second.start(); second.join()
        """,
        address,
    )
    assert lines == ["WrongThread Executed.NO"]


def test_app_belongs_to_the_thread_that_serves() -> None:
    """Stopping it from another one is refused, and it serves on."""
    lines = run_program(
        """
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler))
        stub = zkrpc.connect(idl.Counting, [str(app.endpoint)])
        other = threading.Thread(target=lambda: [say(refused(one).split(" (")[0]) for one in (app.stop, app.kill)])
        other.start()
        while other.is_alive(): gevent.sleep(0.01)
        say(stub.echo("served"))
        stub.close(); app.kill()
        """,
        "nowhere",
    )
    assert lines[0] == lines[1] and lines[0].startswith("WrongThread Executed.NO a server belongs to the thread")
    assert lines[2:] == ["served"]


@pytest.mark.parametrize("how", ["unused", "used", "calling", "serving"])
def test_what_was_never_closed_ends_without_a_word(address: str, how: str) -> None:
    """Nor does Python's development mode find anything to complain of."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        how = sys.argv[2]
        if how != "unused": stub.echo("x")
        if how == "calling":
            for _ in range(3): gevent.spawn(stub.nap, 60_000)
            gevent.sleep(0.1)
        if how == "serving":
            app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler))
            own = zkrpc.connect(idl.Counting, [str(app.endpoint)])
            own.echo("x"); gevent.spawn(own.nap, 60_000); gevent.sleep(0.1)
        say("end")
        """,
        address,
        how,
        options=("-X", "dev"),
    )
    assert lines == ["end"]


def test_refusals_are_call_errors_that_nothing_was_done() -> None:
    """So that a program that handles failed calls handles these as well."""
    for kind in (zkrpc.WrongThread, zkrpc.WrongProcess):
        assert issubclass(kind, zkrpc.CallError) and kind("x").executed is zkrpc.Executed.NO
