"""Threads of the operating system that run functions one after another, with and without patches of gevent's.

They are made of what Python itself has for that: gevent's patches would make them greenlets. A thread is started when
there is more to do than there are threads, and all end with ``close``. What runs in them may use gevent, or what it has
patched: then the thread has a hub, which ends with the thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent.monkey import get_original

from zkrpc.forking import hub_of_thread

Work = Callable[[], object]

_start: Any = get_original("_thread", "start_new_thread")
_Tokens: Any = get_original("queue", "SimpleQueue")


def start_thread(main: Work) -> None:
    """Runs ``main`` in a new native thread, and ends the hub that the thread may have got. The interpreter does not
    wait for it."""
    _start(_run_thread, (main,))


def _run_thread(main: Work) -> None:
    try:
        main()
    finally:
        hub = hub_of_thread()
        if hub is not None:
            hub.destroy(destroy_loop=True)


class NativeThreads:
    """At most ``most`` threads. ``put``, ``remove`` and ``close`` belong to one thread; ``on_end`` is called in each
    thread at its end. What is put must not raise."""

    def __init__(self, most: int, on_end: Work) -> None:
        self.count = 0
        """Threads that were started."""
        self._most = most
        self._on_end = on_end
        self._works: deque[Work] = deque()
        self._tokens = _Tokens()
        self._closed = False

    def __repr__(self) -> str:
        """How many there are, and how much waits."""
        return f"<NativeThreads {self.count}/{self._most} waiting={len(self._works)}>"

    def put(self, work: Work, busy: int) -> None:
        """Has ``work`` run by the next free thread; ``busy`` works, this one included, have not ended yet."""
        self._works.append(work)
        self._tokens.put(True)
        if busy > self.count and self.count < self._most:
            self.count += 1
            start_thread(self._main)

    def remove(self, work: Work) -> bool:
        """Takes back what no thread has begun; False if one has."""
        try:
            self._works.remove(work)
        except ValueError:
            return False
        with contextlib.suppress(queue.Empty):  # a thread has taken its token, and will find nothing
            self._tokens.get(False)
        return True

    def close(self) -> None:
        """Begins no more; each thread ends as soon as its work does."""
        self._closed = True
        for _ in range(self.count):
            self._tokens.put(True)

    def _main(self) -> None:
        wait, works = self._tokens.get, self._works
        while True:
            wait()
            if self._closed:
                break
            try:
                work = works.popleft()
            except IndexError:  # it was taken back
                continue
            work()
            del work
        self._on_end()


class LoopExecutor(concurrent.futures.ThreadPoolExecutor):
    """Native threads for ``asyncio.to_thread``, ``getaddrinfo`` and ``run_in_executor`` of one event loop.

    asyncio takes nothing but a ThreadPoolExecutor; of that this has the type only, as gevent's patches would make its
    threads greenlets of a hub that never runs. Futures are the loop's own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._busy = 0
        self._native = NativeThreads(most, _nothing)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs a function; what it returns or raises comes as an asyncio future of the loop, in whose thread this must
        be called."""
        loop, future = self._loop, self._loop.create_future()

        def work() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = fn(*args, **kwargs)
            except StopIteration as error:  # which no future takes, so whoever awaits it would wait for ever
                failure = RuntimeError(f"the function raised {error!r}")
            except BaseException as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._settle, future, value, failure)

        self._busy += 1
        self._native.put(work, self._busy)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads when their work is done; never waits."""
        self._native.close()

    def _settle(self, future: asyncio.Future[Any], value: Any, failure: BaseException | None) -> None:
        self._busy -= 1
        if future.done():
            return
        if failure is None:
            future.set_result(value)
        else:
            future.set_exception(failure)


def _nothing() -> None:
    """The end of a thread of which nobody needs to know."""
