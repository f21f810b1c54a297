"""Programs that fork, in real processes: what the child has and has not, and that the parent notices nothing.

What a session of ZooKeeper's has to do with it is in ``tests/live/test_processes.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.counting import run_program, start_server

both_ways = pytest.mark.parametrize("way", ["plain", "patched"])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


@both_ways
@pytest.mark.parametrize("maker", ["fork", "multiprocessing"])
def test_children_and_parent_call_at_once(address: str, way: str, maker: str) -> None:
    """As with gunicorn's preload: connected before the fork, used by all; each gets its own answers, none is lost."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("before")

        def work():
            who = str(os.getpid())
            assert [stub.echo(f"{who}-{n}") for n in range(40)] == [f"{who}-{n}" for n in range(40)]
            say("right")

        if "fork" in sys.argv:
            children = [child(work) for _ in range(4)]
            work()
            assert [status(pid) for pid in children] == [0] * 4
        else:
            children = [fork_context.Process(target=work) for _ in range(4)]
            for one in children: one.start()
            work()
            for one in children: one.join()
            assert [one.exitcode for one in children] == [0] * 4
        work()
        stub.close()
        """,
        address,
        way,
        maker,
    )
    assert lines == ["right"] * 6


@both_ways
def test_fork_in_a_greenlet_leaves_the_others_to_the_parent(address: str, way: str) -> None:
    """Calls in flight are answered to the parent; in the child nobody waits for them, and nobody goes on calling."""
    lines = run_program(
        """
        stub, mine = zkrpc.connect(idl.Counting, [address]), f"parent-{parent}"
        done, stop = [], []

        def busy():
            while not stop:
                stub.add(mine); done.append(os.getpid())

        def forks():
            def work():
                for _ in range(20): stub.add(f"child-{parent}")
                gevent.sleep(0.1)
            gevent.sleep(0.05)
            assert status(child(work)) == 0
            stop.append(True)

        napping = gevent.spawn(stub.nap, 300)
        greenlets = [gevent.spawn(busy) for _ in range(5)]
        gevent.spawn(forks).join()
        gevent.joinall([napping, *greenlets], raise_error=True)
        assert napping.successful()
        assert set(done) == {parent}
        say(stub.total(mine) == len(done) > 0, stub.total(f"child-{parent}"))
        """,
        address,
        way,
    )
    assert lines == ["True 20"]


def test_child_has_no_socket_of_its_parent(address: str) -> None:
    """Neither of clients nor of servers, and what the parent sends afterwards is answered to the parent."""
    lines = run_program(
        """
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler))
        stub, own = zkrpc.connect(idl.Counting, [address]), zkrpc.connect(idl.Counting, [str(app.endpoint)])
        stub.echo("x"); own.echo("x")
        shared = sockets()
        assert len(shared) >= 4
        assert status(child(lambda: say(shared & sockets()))) == 0
        say(own.echo("a"), stub.echo("b"))
        app.kill(); stub.close(); own.close()
        """,
        address,
    )
    assert lines == ["set()", "a b"]


def test_attempt_to_connect_stays_with_the_parent() -> None:
    """A fork in the middle of it leaves the child no half of a connection."""
    lines = run_program(
        """
        import contextlib, socket
        full = socket.socket(); full.bind(("127.0.0.1", 0)); full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError): one.connect(full.getsockname())
        stub = zkrpc.connect(idl.Counting, ["127.0.0.1:%d" % full.getsockname()[1]])
        before = sockets()
        gevent.spawn(refused, lambda: stub.echo("x"))
        gevent.sleep(0.2)
        attempts = sockets() - before
        assert attempts
        assert status(child(lambda: say(attempts & sockets()))) == 0
        say(attempts <= sockets())
        """,
        "nowhere",
    )
    assert lines == ["set()", "True"]


def test_other_programs_inherit_nothing(address: str) -> None:
    """Every descriptor is closed in what a process starts, also if that was told to close nothing."""
    lines = run_program(
        """
        import subprocess
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler))
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("x")
        count = "import os; print(len(os.listdir('/proc/self/fd')))"
        clean = subprocess.check_output([sys.executable, "-c", count])
        assert subprocess.check_output([sys.executable, "-c", count], close_fds=False) == clean
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", count], os.environ)
        assert status(pid) == 0
        say(stub.echo("still"))
        app.kill()
        """,
        address,
    )
    assert lines[-1] == "still"


@both_ways
@pytest.mark.parametrize("place", ["main", "greenlet"])
def test_child_ends_as_programs_end(address: str, way: str, place: str) -> None:
    """By ``sys.exit``, by its end or by an exception: with that status, and with what ``atexit`` registered there."""
    lines = run_program(
        """
        import atexit
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("x")

        def forks(how):
            pid = os.fork()
            if pid:
                return status(pid)
            atexit.register(say, how)
            stub.echo("child")
            if how == "raise":
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                raise ValueError("in the child")
            if how == "exit" or "main" in sys.argv: sys.exit(3)

        for how in ("exit", "raise", "end"):
            say(forks(how) if "main" in sys.argv else gevent.spawn(forks, how).get())
        say(stub.echo("parent"))
        stub.close()
        """,
        address,
        way,
        place,
    )
    assert lines == ["exit", "3", "raise", "1", "end", "3" if place == "main" else "0", "parent"]


def test_fork_in_an_offloaded_function(address: str) -> None:
    """The thread that forked is all there is of the child, and the stub is its own; coming back from it is its end."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("x")

        def forks(leave):
            pid = os.fork()
            if pid == 0:
                say(stub.echo("child"))
                if leave: os._exit(5)
                return
            return status(pid)

        say(zkrpc.offload(forks, True)); say(zkrpc.offload(forks, False)); say(stub.echo("parent"))
        """,
        address,
    )
    assert lines == ["child", "5", "child", "0", "parent"]


@both_ways
def test_child_starts_programs_and_threads(address: str, way: str) -> None:
    """A hub of its own can all that a hub can: subprocesses, look-ups, threads, and children of its own."""
    lines = run_program(
        """
        import socket, subprocess
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("x")

        def work():
            say(subprocess.check_output(["echo", "started"], text=True).strip())
            socket.getaddrinfo("localhost", 80)
            say(zkrpc.offload(lambda: "offloaded"), stub.echo("called"))
            assert status(child(lambda: say(stub.echo("grandchild")))) == 0
            say(stub.echo("again"))

        assert status(child(work)) == 0
        """,
        address,
        way,
    )
    assert lines == ["started", "offloaded called", "grandchild", "again"]


@both_ways
def test_child_learns_how_its_own_children_ended(address: str, way: str) -> None:
    """Also of those that end while it waits for something else: they are not reaped behind its back."""
    lines = run_program(
        """
        import subprocess
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("before")

        def generation(left):
            stub.echo("in the child")
            program = subprocess.Popen(["sh", "-c", "exit 3"])
            process = fork_context.Process(target=os._exit, args=(4,))
            process.start()
            pid = child(lambda: generation(left - 1) if left else None)
            stub.nap(700)
            process.join()
            say(program.wait(), process.exitcode, status(pid))

        generation(2)
        stub.close()
        """,
        address,
        way,
    )
    assert lines == ["3 4 0"] * 3


def test_child_is_told_of_its_children_as_its_parent_was(address: str) -> None:
    """A handler for SIGCHLD that the program has set before is heard in a child as well."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("before")
        ended = []
        signal.signal(signal.SIGCHLD, lambda *_: ended.append(os.getpid()))

        def work():
            stub.echo("in the child")
            say(status(child(lambda: None)), ended == [os.getpid()])

        say(status(child(work)), ended == [parent])
        stub.close()
        """,
        address,
    )
    assert lines == ["0 True", "0 True"]


def test_call_that_was_begun_before_the_fork_is_refused_in_the_child(address: str) -> None:
    """As in an interceptor that forks: the parent's goes on, the child is told to make its own, which it can."""
    lines = run_program(
        """
        def forks(call, proceed):
            if call.method == "total":
                def work():
                    say(refused(lambda: proceed(call)))
                    say(stub.echo("anew"))
                say(status(child(work)))
            return proceed(call)

        stub = zkrpc.connect(idl.Counting, [address], interceptors=[forks])
        say(stub.total("nobody"), stub.total("nobody"))
        stub.close()
        """,
        address,
    )
    assert lines[0].startswith("WrongProcess Executed.NO") and "begun before a fork" in lines[0]
    assert lines[1:] == ["anew", "0", lines[0], "anew", "0", "0 0"]


def test_daemon_calls_with_the_stub_that_was_made_before_it_was_one(address: str) -> None:
    """Two forks, a new session, and every descriptor closed, as daemons do it."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("x")
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(3, writer)
                os.write(writer, stub.echo("daemon").encode())
                sys.exit(0)
            sys.exit(0)
        os.close(writer)
        say(os.read(reader, 100).decode(), stub.echo("parent"))
        """,
        address,
    )
    assert lines == ["daemon parent"]


@both_ways
def test_handler_forks(address: str, way: str) -> None:
    """The child answers nobody, whether it exits, raises or comes back out of the handler; its status says which."""
    lines = run_program(
        """
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler))
        stub = zkrpc.connect(idl.Counting, [str(app.endpoint)])
        stop = []

        def busy():
            calls = 0
            while not stop:
                calls += 1
                assert stub.add("busy") == calls

        callers = gevent.spawn(busy)
        gevent.sleep(0.05)
        quiet = os.dup(2); os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for how in ("exits", "raises", "returns"):
            say(how, stub.fork(how))
        os.dup2(quiet, 2)
        stop.append(True); callers.get()
        app.kill()
        """,
        address,
        way,
    )
    assert lines == ["exits 3", "raises 1", "returns 0"]


def test_app_is_left_to_the_parent() -> None:
    """To stop it in a child is refused, in words; the end of a ``with`` is not, for it comes with every exit."""
    lines = run_program(
        """
        with zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler)) as app:
            stub = zkrpc.connect(idl.Counting, [str(app.endpoint)])

            def work():
                for action in (app.stop, app.begin_stop, app.kill, app.wait_stopped):
                    said = refused(action)
                    assert said.startswith("WrongProcess Executed.NO") and "fork" in said, said
                say(stub.echo("served by the parent"))

            pid = os.fork()
            if pid == 0:
                work()
                sys.exit(4)
            while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0): gevent.sleep(0.01)
            say(os.waitstatus_to_exitcode(ended[1]), stub.echo("parent"))
            stub.close()
            app.kill()
        """,
        "nowhere",
    )
    assert lines == ["served by the parent", "4 parent"]


def test_signals_end_a_child(address: str) -> None:
    """What the parent's hub was to hear is nobody's to hear in the child: signals do what they do by default."""
    lines = run_program(
        """
        stub = zkrpc.connect(idl.Counting, [address])
        stub.echo("x")
        heard, (reader, writer) = [], os.pipe()
        gevent.signal_handler(signal.SIGTERM, heard.append, "heard")
        pid = child(lambda: (say("ready"), os.write(writer, b"."), gevent.sleep(60)))
        os.read(reader, 1)
        os.kill(pid, signal.SIGTERM)
        say(status(pid))
        os.kill(parent, signal.SIGTERM)
        while not heard: gevent.sleep(0.01)
        say(*heard)
        """,
        address,
    )
    assert lines == ["ready", "-15", "heard"]


def test_stub_that_was_closed_stays_closed_in_a_child(address: str) -> None:
    """And one that is closed in the child without a call is closed there alone."""
    lines = run_program(
        """
        stub, other = (zkrpc.connect(idl.Counting, [address]) for _ in range(2))
        other.echo("x"); stub.echo("x"); stub.close()

        def work():
            say(refused(lambda: stub.echo("y")).split(" (")[0])
            other.close()
            say(refused(lambda: other.echo("y")).split(" (")[0])

        assert status(child(work)) == 0
        say(other.echo("parent"))
        """,
        address,
    )
    assert lines == ["Unavailable Executed.NO the client is closed; make a new one"] * 2 + ["parent"]


def test_without_anything_of_ours_a_fork_is_gevents() -> None:
    """Programs that connect after the fork, or have closed everything before it, keep the greenlets they had."""
    lines = run_program(
        """
        gevent.spawn_later(0.1, lambda: say(os.getpid() == parent))
        stub = zkrpc.connect(idl.Counting, ["127.0.0.1:9"])
        stub.close()
        assert status(child(lambda: gevent.sleep(0.3))) == 0
        gevent.sleep(0.3)
        """,
        "nowhere",
        "patched",
    )
    assert sorted(lines) == ["False", "True"]
