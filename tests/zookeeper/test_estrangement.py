"""When a session is given up that is neither continued nor ended."""

from __future__ import annotations

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.estrangement import Estrangement

ONE, TWO = Endpoint("10.0.0.1", 2181), Endpoint("10.0.0.2", 2181)


def test_who_takes_others_and_not_us_is_another_one() -> None:
    """After a session timeout of hanging up, a newcomer is tried; taken, and we are hung up on again: it is certain."""
    between = Estrangement()
    assert between.next_timer() is None
    between.receive_hang_up(ONE, 4.0, 10.0)
    between.receive_hang_up(ONE, 4.0, 13.0)
    assert between.next_timer() == 14.0 and between.suspects() == (ONE,)
    between.receive_newcomer(ONE, True, 14.1)
    assert between.next_timer() is None and between.estranged is None
    between.receive_hang_up(ONE, 4.0, 14.2)
    assert between.estranged == ONE and repr(between) == "<Estrangement hanging_up=1 takers=1>"
    between.receive_answer()
    assert between.estranged is None and between.suspects() == ()


def test_who_takes_nobody_means_nobody_in_particular() -> None:
    """No quorum, or too many connections: newcomers are tried on and on, and the session stays."""
    between = Estrangement()
    between.receive_hang_up(ONE, 4.0, 0.0)
    for at in (4.0, 5.0, 6.0):
        assert between.next_timer() == at
        between.receive_newcomer(ONE, False, at)
        between.receive_hang_up(ONE, 4.0, at + 0.5)
    assert between.estranged is None and between.next_timer() == 7.0


def test_who_comes_back_takes_us_before_it_is_certain() -> None:
    """A quorum that is found again takes newcomers and, in the same moments, us."""
    between = Estrangement()
    between.receive_hang_up(ONE, 4.0, 0.0)
    between.receive_newcomer(ONE, True, 4.0)
    between.receive_answer()
    between.receive_hang_up(ONE, 4.0, 5.0)
    assert between.estranged is None and between.next_timer() == 9.0


def test_a_server_is_judged_by_what_it_does_itself() -> None:
    """That another one takes newcomers says nothing of one that only lags behind."""
    between = Estrangement()
    between.receive_hang_up(TWO, 4.0, 0.0)
    between.receive_hang_up(ONE, 4.0, 1.0)
    assert between.suspects() == (ONE, TWO)
    between.receive_newcomer(ONE, True, 4.0)
    between.receive_newcomer(TWO, False, 4.0)
    between.receive_hang_up(TWO, 4.0, 4.1)
    assert between.estranged is None
    between.receive_hang_up(ONE, 4.0, 4.2)
    assert between.estranged == ONE
