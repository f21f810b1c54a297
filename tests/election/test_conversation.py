"""Running procedures: requests out, answers in, again later after a failure."""

from __future__ import annotations

import pytest

from zkrpc.election.conversation import Conversation, Failed, Finished
from zkrpc.election.effects import ElectionAnswer, ElectionRequest, ListCandidates, Node, ReadEpoch, RequestFailure
from zkrpc.election.procedures import Procedure, RequestFailed
from zkrpc.errors import LocalProtocolError, RemoteProtocolError

FIRST, SECOND = ListCandidates("/c"), ReadEpoch("/e")


def talk() -> tuple[Conversation, list[ElectionRequest]]:
    """A connected conversation and what it asks."""
    asked: list[ElectionRequest] = []
    conversation = Conversation(lambda request, now: asked.append(request), lambda: 1.0)
    conversation.connect()
    return conversation, asked


def two_questions() -> Procedure[str]:
    """Asks twice, and takes a conflict at the second for an answer."""
    names = yield FIRST
    try:
        node = yield SECOND
    except RequestFailed as failed:
        if failed.failure is not RequestFailure.CONFLICT:
            raise
        node = None
    if node == Node(owner=9):
        raise RemoteProtocolError("garbage")
    return f"{names} {node}"


def test_conversation_hands_answers_in_until_the_procedure_returns() -> None:
    """One request at a time; the last answer gives the result."""
    conversation, asked = talk()
    conversation.begin(two_questions(), 0.0)
    assert asked == [FIRST] and not conversation.is_free(0.0)
    assert conversation.receive_answer(("a",), 0.0) is None and asked == [FIRST, SECOND]
    assert conversation.receive_answer(None, 0.0) == Finished("('a',) None")
    assert conversation.is_free(0.0)


def test_conversation_throws_failures_in() -> None:
    """A refusal that the procedure handles is an answer like any other."""
    conversation, _ = talk()
    conversation.begin(two_questions(), 0.0)
    conversation.receive_answer((), 0.0)
    assert conversation.receive_answer(RequestFailure.CONFLICT, 0.0) == Finished("() None")


@pytest.mark.parametrize(("answer", "text"), [(RequestFailure.UNKNOWN, "no answer"), (Node(owner=9), "garbage")])
def test_conversation_pauses_after_a_failure_and_longer_after_the_next(
    answer: ElectionAnswer | RequestFailure, text: str
) -> None:
    """Whether ZooKeeper failed or what it held; a success, or a new connection, ends that."""
    conversation, _ = talk()
    for pause in (0.1, 0.2):
        conversation.begin(two_questions(), 0.0)
        conversation.receive_answer((), 1.0)
        assert conversation.receive_answer(answer, 1.0) == Failed(text)
        assert conversation.failure == text
        assert not conversation.is_free(1.0) and conversation.next_timer() == pytest.approx(1.0 + pause)
        assert conversation.is_free(1.0 + pause + 0.01)
    conversation.settle()
    assert conversation.failure is None
    conversation.pause(2.0, 5.0)
    assert not conversation.is_free(6.9)
    conversation.connect()
    assert conversation.is_free(2.0) and conversation.next_timer() is None


def test_conversation_waits_for_the_answer_of_what_it_abandoned() -> None:
    """The request is out there: nothing new begins before its answer, which is then thrown away."""
    conversation, asked = talk()
    conversation.abandon()
    conversation.begin(two_questions(), 0.0)
    conversation.abandon()
    assert not conversation.is_free(0.0)
    assert "unanswered=True" in repr(conversation)
    assert conversation.receive_answer(("a",), 0.0) is None
    assert conversation.is_free(0.0) and asked == [FIRST]


def test_conversation_begins_nothing_without_a_connection() -> None:
    """And wakes nobody to try."""
    conversation, _ = talk()
    conversation.pause(0.0, 1.0)
    conversation.disconnect()
    assert not conversation.is_free(9.0) and conversation.next_timer() is None


def test_conversation_lets_a_few_repeats_pass_before_it_pauses() -> None:
    """Being overtaken once is normal, being overtaken for ever costs less with pauses."""
    conversation, _ = talk()
    for _ in range(3):
        conversation.pause_if_repeated(0.0)
        assert conversation.is_free(0.0)
    conversation.pause_if_repeated(0.0)
    assert not conversation.is_free(0.0)


def test_conversation_that_has_nothing_to_begin_after_its_pause_wakes_nobody_again() -> None:
    """A pause that is over is no time to wait for: whoever asks for the next timer would spin."""
    conversation, _ = talk()
    conversation.pause(0.0, 1.0)
    conversation.handle_timer(0.9)
    assert conversation.next_timer() == 1.0
    conversation.handle_timer(1.0)
    assert conversation.next_timer() is None and conversation.is_free(1.0)


def test_conversation_knows_how_long_the_answer_has_taken() -> None:
    """Of the request that is out, not of the procedure."""
    conversation, _ = talk()
    conversation.begin(two_questions(), 1.0)
    assert conversation.asked_for(1.5) == 0.5
    conversation.receive_answer((), 2.0)
    assert conversation.asked_for(2.25) == 0.25


def test_answer_to_no_request_is_refused() -> None:
    """It would be taken for the answer to the next one."""
    conversation, _ = talk()
    conversation.begin(two_questions(), 0.0)
    conversation.receive_answer((), 0.0)
    conversation.receive_answer(None, 0.0)
    with pytest.raises(LocalProtocolError, match="no request is out"):
        conversation.receive_answer(None, 0.0)
    with pytest.raises(LocalProtocolError, match="no request is out"):
        conversation.asked_for(1.0)
