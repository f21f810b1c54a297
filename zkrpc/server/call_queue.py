"""The requests of one connection that were not admitted at once: those that wait, and those that have got a place and
are about to run.

======== =====================================================  ==================================================
a call   is                                                      and leaves by
======== =====================================================  ==================================================
waiting  one of the admission's tickets                          a place: admitted; an answer, without being run
admitted counted as running, and taken by the next worker        being taken; ``turn_out``, which frees its place
======== =====================================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zkrpc.server.admission import Admission
from zkrpc.server.dispatch import Answer
from zkrpc.server.shares import Share
from zkrpc.wire.message import Request

AnswerCall = Callable[[Request, Answer], object]


class CallQueue:
    """One connection's part of the queue.

    Args:
        admission: the server's.
        share: the connection's.
        answer: sends the answer to a request that is not run.
        wake: has the connection run what was admitted, and send what was answered, soon.
    """

    __slots__ = ("_admission", "_answer", "_wake", "_waiting", "admitted", "share")

    def __init__(self, admission: Admission, share: Share, answer: AnswerCall, wake: Callable[[], object]) -> None:
        self.admitted: list[Request] = []
        """Requests that have a place; a worker takes one to run it."""
        self._waiting: dict[Request, _Ticket] = {}
        self._admission = admission
        self.share = share
        self._answer = answer
        self._wake = wake

    def __repr__(self) -> str:
        """How many."""
        return f"<CallQueue waiting={len(self._waiting)} admitted={len(self.admitted)}>"

    def __iter__(self) -> Iterator[Request]:
        """All requests, waiting and admitted."""
        yield from self._waiting
        yield from self.admitted

    def turn_away(self, request: Request) -> None:
        """Queues a request that was not admitted, or refuses it."""
        ticket = _Ticket(self, request, self.share)
        if self._admission.enqueue(ticket):
            self._waiting[request] = ticket
        else:
            self._answer(request, self._admission.refusal(request))

    def refuse(self, request: Request, answer: Answer) -> None:
        """Answers a request that is not even queued."""
        self._answer(request, answer)

    def take(self) -> Request:
        """The next admitted request, to be run now. Its place counts for its address again when its handler blocks."""
        self._admission.release(self.share)
        return self.admitted.pop(0)

    def forget(self, request: Request) -> bool:
        """Removes a request whose answer is no longer wanted; False if it does not wait here."""
        ticket = self._waiting.pop(request, None)
        if ticket is not None:
            self._admission.forget(ticket)
        return ticket is not None

    def answer_waiting(self, answer: Callable[[Request], Answer]) -> None:
        """Answers all waiting requests without running them."""
        for request in list(self._waiting):
            self.forget(request)
            self._answer(request, answer(request))

    def turn_out(self, answer: Callable[[Request], Answer]) -> None:
        """Answers all admitted requests without running them; their places become free."""
        while self.admitted:
            request = self.take()
            self._answer(request, answer(request))
            self._admission.leave(None)

    def close(self) -> None:
        """Removes all requests without an answer, as the connection is closed."""
        self._wake = _nobody
        for request in list(self._waiting):
            self.forget(request)
        while self.admitted:
            self.take()
            self._admission.leave(None)

    def start(self, request: Request) -> None:
        """A waiting request has got a place."""
        del self._waiting[request]
        self.admitted.append(request)
        self._wake()

    def answer(self, request: Request, answer: Answer) -> None:
        """The admission has refused a waiting request."""
        del self._waiting[request]
        self._answer(request, answer)
        self._wake()


class _Ticket:
    """A waiting request, as the admission knows it."""

    __slots__ = ("_queue", "request", "share")

    def __init__(self, queue: CallQueue, request: Request, share: Share) -> None:
        self._queue = queue
        self.request = request
        self.share = share

    def start(self) -> None:
        """The request has got a place."""
        self._queue.start(self.request)

    def answer(self, answer: Answer) -> None:
        """The request is refused."""
        self._queue.answer(self.request, answer)


def _nobody(*_: object) -> None:
    """Does nothing: ``wake`` of a closed connection."""
