"""Reading back what replicas wrote down."""

from __future__ import annotations

from pathlib import Path

from faults.journal import Journals, gap_after, overlaps


def test_journals_are_merged_by_time_and_taken_once(tmp_path: Path) -> None:
    """One file a process; a line that is half written is taken when it is whole; other files are none of ours."""
    (tmp_path / "ann.log").write_text("not a journal\n")
    (tmp_path / "11").write_text("accepted 1.000000 1 a\naccepted 3.000000 1 c\naccep")
    (tmp_path / "12").write_text("accepted 2.000000 2 b\nrefused 2.500000 1 x\n")
    journals = Journals(tmp_path)
    assert journals.take() == [(1.0, 1), (2.0, 2), (3.0, 1)]
    assert journals.refused == {"x": 1}
    with (tmp_path / "11").open("a") as journal:
        journal.write("ted 4.000000 3 d\n")
    assert journals.take() == [(4.0, 3)]
    assert journals.take() == []


def test_overlaps_counts_epochs_that_went_on_after_a_later_one() -> None:
    """Each once, however many writes it made."""
    assert overlaps([(1.0, 1), (2.0, 1), (3.0, 2)]) == 0
    assert overlaps([(1.0, 1), (2.0, 2), (3.0, 1), (4.0, 1), (5.0, 3), (6.0, 2)]) == 2


def test_gap_lies_between_the_last_of_one_epoch_and_the_first_of_the_next() -> None:
    """What was before and after does not matter; without either end there is no figure."""
    accepted = [(1.0, 6), (2.0, 7), (2.5, 7), (2.75, 9), (8.0, 9)]
    assert gap_after(accepted, 7) == 0.25
    assert gap_after(accepted, 8) is None and gap_after(accepted, 9) is None
