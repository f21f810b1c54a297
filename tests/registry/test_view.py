"""The view machine: transcripts of each rule, and a model of a directory under every fault at once."""

from __future__ import annotations

import dataclasses
import time
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.registry.foreign import Tree
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.listing import Listing
from zkrpc.registry.roster import Record
from zkrpc.registry.schema import digest_of, mark_path, read_mark
from zkrpc.registry.view import (
    Effect,
    ListMembers,
    LoadSaved,
    Publish,
    ReadRecords,
    ReportBad,
    Save,
    ServiceView,
    ViewState,
)
from zkrpc.zookeeper.subtrees import Change, ChangeKind

CONFIG = RegistryConfig(debounce=0.1, refresh_interval=60.0)


def instance(worker: str, port: int) -> Instance:
    """A plain instance on loopback."""
    return Instance(id=worker, endpoint=Endpoint("127.0.0.1", port))


def record(port: int, zxid: int = 1) -> Record:
    """A member's node."""
    return Record(payload=dump_serverset(instance("x", port)), created_zxid=zxid)


def listing(*names: str, changes: int, parent: int = 1) -> Listing:
    """The parent and its children."""
    named = frozenset("member_" + name for name in names)
    return Listing(names=named, created_zxid=parent, changes=changes, changed_zxid=9)


def offline(config: RegistryConfig = CONFIG) -> ServiceView:
    """A view at time 0 that has no connection yet."""
    return ServiceView("users", config, rng=lambda: 0.5, now=0.0)


def online() -> ServiceView:
    """A view that has just asked for its first listing."""
    view = offline()
    view.receive_session(True, 0.0)
    assert view.effects() == [ListMembers()]
    return view


def ready() -> ServiceView:
    """A view that knows members a and b, five changes in."""
    view = online()
    view.receive_listing(listing("a", "b", changes=5), 0.0)
    view.receive_records({"member_a": record(1), "member_b": record(2)}, 0.0)
    view.handle_timer(5.0)
    view.effects()
    return view


def ports(view: ServiceView) -> list[int]:
    """The endpoints a client would use."""
    assert view.snapshot is not None
    return [member.endpoint.port for member in view.snapshot.instances]


def published(effects: list[Effect]) -> list[Snapshot]:
    """What subscribers hear."""
    return [effect.snapshot for effect in effects if isinstance(effect, Publish)]


def test_view_lists_reads_and_publishes() -> None:
    """From a connection to the first snapshot."""
    view = offline()
    assert view.is_stale and view.effects() == []
    view.receive_session(True, 0.0)
    assert view.effects() == [ListMembers()] and view.state is ViewState.LISTING
    view.receive_listing(listing("b", "a", changes=2), 0.1)
    assert view.effects() == [ReadRecords(("member_a", "member_b"))]
    view.receive_records({"member_a": record(1), "member_b": record(2)}, 0.2)
    expected = Snapshot(service="users", instances=(instance("a", 1), instance("b", 2)), confirmed_at=0.2)
    assert view.effects() == [Publish(expected)] and view.snapshot == expected and not view.is_stale
    assert "members=2" in repr(view)


def test_view_follows_the_first_change_at_once_and_collects_the_rest() -> None:
    """After a quiet time there is no delay; a burst becomes one further listing."""
    view = ready()
    view.receive_change(10.0)
    assert view.effects() == [ListMembers()]
    view.receive_listing(listing("a", changes=6), 10.01)
    assert ports(view) == [1]
    view.effects()
    view.receive_change(10.02)
    view.receive_change(10.03)
    assert view.effects() == [] and view.next_timer() == 10.1
    view.handle_timer(10.05)
    assert view.effects() == []
    view.handle_timer(10.1)
    assert view.effects() == [ListMembers()]


def test_view_reads_only_new_names() -> None:
    """Records are immutable: who is known is not read again, who left is dropped."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("b", "c", changes=7), 10.0)
    assert view.effects() == [ListMembers(), ReadRecords(("member_c",))]
    view.receive_records({"member_c": record(3)}, 10.0)
    assert ports(view) == [2, 3]


def test_view_notices_a_node_replaced_under_the_same_name() -> None:
    """The names are equal but the parent counts two more changes, so everything is read again."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("a", "b", changes=7), 10.0)
    assert view.effects() == [ListMembers(), ReadRecords(("member_a", "member_b"))]
    view.receive_records({"member_a": record(11, 9), "member_b": record(2)}, 10.0)
    assert ports(view) == [11, 2]


def test_view_notices_a_replacement_among_other_changes() -> None:
    """One came, and one was replaced: three changes and one new name."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("a", "b", "c", changes=8), 10.0)
    assert view.effects()[1:] == [ReadRecords(("member_a", "member_b", "member_c"))]


def with_marks(found: Listing, *marks: str) -> Listing:
    """The listing, as it is when the marks were asked for: ``a~1`` is of member a at port 1."""
    pairs = (mark.split("~") for mark in marks)
    told = (f"member_{name}~{digest_of(record(int(port)).payload)}-t" for name, port in pairs)
    return dataclasses.replace(found, marks=frozenset(told))


def test_view_reads_only_what_has_another_mark() -> None:
    """It wants the marks only if something is hidden, and reads who was replaced."""
    view = online()
    assert not view.wants_marks(listing("a", "b", changes=5))
    view = ready()
    view.receive_change(10.0)
    found = listing("a", "b", changes=7)
    assert view.wants_marks(found) and not view.wants_marks(listing("a", changes=6))
    view.receive_listing(with_marks(found, "a~1", "b~20"), 10.0)
    assert view.effects() == [ListMembers(), ReadRecords(("member_b",))]
    view.receive_records({"member_b": record(20)}, 10.0)
    assert ports(view) == [1, 20]


def test_view_reads_everything_if_marks_explain_too_little() -> None:
    """Somebody replaced a node and left the mark that was there."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(with_marks(listing("a", "b", changes=7), "a~1", "b~2"), 10.0)
    assert view.effects() == [ListMembers(), ReadRecords(("member_a", "member_b"))]


def test_view_lists_a_long_list_less_often() -> None:
    """A thousand members are listed twice a second at most, the first change still at once."""
    view = online()
    names = [f"w{number}" for number in range(1000)]
    view.receive_listing(listing(*names, changes=1000), 0.0)
    view.receive_records({f"member_{name}": record(port) for port, name in enumerate(names, 1)}, 0.0)
    view.handle_timer(5.0)
    view.receive_change(10.0)
    view.receive_listing(listing(*names, changes=1000), 10.0)
    view.receive_change(10.1)
    assert view.next_timer() == 10.5


def test_view_after_a_reconnect_without_changes_reads_nothing() -> None:
    """An ensemble that just came back is asked one thing per service."""
    view = ready()
    view.receive_session(False, 10.0)
    assert view.is_stale and ports(view) == [1, 2]
    view.receive_session(True, 11.0)
    view.receive_listing(listing("a", "b", changes=5), 11.0)
    assert view.effects() == [ListMembers()]
    assert view.snapshot is not None and view.snapshot.confirmed_at == 11.0


def test_view_counts_changes_around_the_wrap() -> None:
    """The counter is 32 bits wide."""
    view = online()
    view.receive_listing(listing("a", changes=2**32 - 1), 0.0)
    view.receive_records({"member_a": record(1)}, 0.0)
    view.receive_change(10.0)
    view.effects()
    view.receive_listing(listing("a", "b", changes=0), 10.0)
    assert view.effects() == [ReadRecords(("member_b",))]


def test_view_reads_everything_under_a_new_parent() -> None:
    """A parent deleted and made again has other children, whatever their names."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(None, 10.0)
    assert ports(view) == [] and not view.is_stale
    view.receive_change(20.0)
    view.receive_listing(listing("a", "b", changes=2, parent=50), 20.0)
    assert view.effects()[-1] == ReadRecords(("member_a", "member_b"))
    view.receive_records({"member_a": record(1), "member_b": record(2)}, 20.0)
    view.receive_change(30.0)
    view.receive_listing(listing("a", "b", changes=2, parent=60), 30.0)
    assert view.effects()[-1] == ReadRecords(("member_a", "member_b"))


def test_view_of_a_missing_parent_is_confirmed_empty() -> None:
    """A service that nobody ever registered is an answer, not an error."""
    view = online()
    view.receive_listing(None, 0.0)
    assert published(view.effects()) == [Snapshot(service="users", confirmed_at=0.0)]
    assert view.next_timer() == 0.5


def test_view_believes_what_seems_older_in_another_zookeeper() -> None:
    """It lost its data or was restored: numbers from before tell nothing, everything is read, the list stays."""
    view = ready()
    before = ports(view)
    view.receive_session(False, 10.0)
    view.receive_session(True, 11.0, histories=1)
    view.receive_listing(listing("a", "b", changes=1, parent=3), 11.0)
    assert view.effects()[-1] == ReadRecords(("member_a", "member_b")) and ports(view) == before
    view.receive_records({"member_a": record(7), "member_b": record(8)}, 11.0)
    assert ports(view) == [7, 8]


def test_view_tells_of_a_bad_record_once() -> None:
    """By its node's name and with the reason; of another bad record under the same name only after a while; of many at
    once only a few by name."""
    view = ready()

    def read(at: float, **payloads: bytes) -> list[ReportBad]:
        names = {f"member_{name}": Record(payload=payload, created_zxid=9) for name, payload in payloads.items()}
        view.receive_records(MappingProxyType(names), at)
        return [effect for effect in view.effects() if isinstance(effect, ReportBad)]

    (report,) = read(1.0, a=b"?")
    assert report.count == 1 and report.reasons[0][0] == "member_a" and "not JSON" in report.reasons[0][1]
    assert read(2.0, a=b"?") == read(3.0, a=b"??") == read(60.0, a=b"???") == []
    assert [one.count for one in read(61.0, a=b"????")] == [1]
    (report,) = read(62.0, **{f"n{number}": b"!" for number in range(9)})
    assert report.count == 10 and len(report.reasons) == 5
    assert ports(view) == [2]


def test_view_passes_on_why_there_is_no_parent() -> None:
    """The remark is told with the empty list, again when it changes, and no longer once the parent is there."""
    view = online()
    view.receive_listing(None, 0.0, remark="no chroot")
    assert [one.remark for one in published(view.effects())] == ["no chroot"]
    for at, remark in ((10.0, "no chroot"), (20.0, "")):
        view.receive_change(at)
        view.receive_listing(None, at, remark=remark)
    assert [one.remark for one in published(view.effects())] == [""]


def test_view_refreshes_and_reads_a_few_old_records_again() -> None:
    """The safety net: a record changed in place shows within some refreshes, at a bounded price."""
    view = online()
    names = [f"w{number:02}" for number in range(40)]
    view.receive_listing(listing(*names, changes=40), 0.0)
    view.receive_records({f"member_{name}": record(100 + index) for index, name in enumerate(names)}, 0.0)
    view.effects()
    seen: set[str] = set()
    now = 0.0
    for _ in range(3):
        while not isinstance((view.effects() or [None])[-1], ListMembers):
            due = view.next_timer()
            assert due is not None
            now = due
            view.handle_timer(now)
        view.receive_listing(listing(*names, changes=40), now)
        (effect,) = view.effects()
        assert isinstance(effect, ReadRecords) and len(effect.names) == 16
        seen.update(effect.names)
        view.receive_records({name: record(100 + int(name[-2:])) for name in effect.names}, now)
    assert len(seen) == 40 and 48.0 * 3 <= now <= 72.0 * 3


def test_view_skips_and_counts_what_it_cannot_read() -> None:
    """One bad record costs one member; weights that cannot be read are told of, and no member."""
    view = online()
    names = frozenset({"member_a", "member_bad", "vector_1"})
    view.receive_listing(Listing(names=names, created_zxid=1, changes=3), 0.0)
    assert view.effects() == [ReadRecords(("member_a", "member_bad", "vector_1"))]
    starting = Record(payload=b'{"serviceEndpoint":{},"status":"STARTING"}', created_zxid=1)
    bad = Record(payload=b"?", created_zxid=1)
    view.receive_records({"member_a": record(1), "member_bad": bad, "vector_1": bad}, 0.0)
    assert view.snapshot is not None and view.snapshot.skipped == 1 and ports(view) == [1]
    (report,) = [effect for effect in view.effects() if isinstance(effect, ReportBad)]
    assert report.count == 2 and [name for name, _ in report.reasons] == ["member_bad", "vector_1"]
    view.receive_change(10.0)
    view.receive_listing(Listing(names=names | {"member_s"}, created_zxid=1, changes=4), 10.0)
    view.effects()
    view.receive_records({"member_s": starting}, 10.0)
    assert view.snapshot.skipped == 1 and ports(view) == [1] and published(view.effects()) == []


def test_view_takes_ten_thousand_nodes_of_somebody_else() -> None:
    """It counts them and shows what is a member, within seconds, and tells of a few by name."""
    view, began = online(), time.process_time()
    names = ["a", "b", *map(str, range(10_000))]
    view.receive_listing(listing(*names, changes=1), 0.0)
    (read,) = view.effects()
    assert isinstance(read, ReadRecords) and len(read.names) == len(names)
    others = {f"member_{number}": Record(payload=b"{}" * (number % 3), created_zxid=1) for number in range(10_000)}
    view.receive_records({"member_a": record(1), "member_b": record(2), **others}, 0.0)
    effects = view.effects()
    assert ports(view) == [1, 2] and view.snapshot is not None and view.snapshot.skipped == 10_000
    (told,) = [one for one in effects if isinstance(one, ReportBad)]
    assert len(str(told)) < 2000 and time.process_time() - began < 10


def test_view_refuses_records_over_the_limit() -> None:
    """The limit is the configured one."""
    view = offline(dataclasses.replace(CONFIG, max_record=10))
    view.receive_session(True, 0.0)
    view.receive_listing(listing("a", changes=1), 0.0)
    view.receive_records({"member_a": record(1)}, 0.0)
    assert view.snapshot is not None and view.snapshot.skipped == 1


def test_view_gives_an_endpoint_to_its_newest_owner() -> None:
    """A reused port belongs to who registered last, whatever the ghosts say."""
    view = online()
    view.receive_listing(listing("a", "b", "c", changes=3), 0.0)
    view.receive_records({"member_a": record(1, 5), "member_b": record(1, 9), "member_c": record(1, 7)}, 0.0)
    assert view.snapshot is not None and view.snapshot.instances == (instance("b", 1),)


def test_view_publishes_what_it_could_read_and_tries_the_rest_again() -> None:
    """A failed read delays one member, not the others."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("a", "b", "c", "d", changes=7), 10.0)
    view.effects()
    view.receive_records({"member_c": record(3)}, 10.0)
    assert ports(view) == [1, 2, 3] and len(published(view.effects())) == 1
    due = view.next_timer()
    assert due is not None and due < 10.2
    view.handle_timer(due)
    view.effects()
    view.receive_listing(listing("a", "b", "c", "d", changes=7), due)
    assert view.effects() == [ReadRecords(("member_d",))]


def test_view_never_publishes_nobody_because_reads_failed() -> None:
    """The last good list is better than the empty part that could be read."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("c", changes=8), 10.0)
    view.effects()
    view.receive_records({}, 10.0)
    assert ports(view) == [1, 2] and published(view.effects()) == []
    view.receive_session(False, 10.0)
    view.receive_records({"member_c": record(3)}, 10.0)
    assert ports(view) == [3]


def test_view_drops_a_member_that_vanished_before_it_was_read() -> None:
    """Gone between the listing and the read is gone."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("a", "b", "c", changes=6), 10.0)
    view.receive_records({"member_c": None}, 10.0)
    assert ports(view) == [1, 2]


def test_view_that_fails_to_list_pauses_longer_each_time() -> None:
    """Pauses grow to a bound, and a success forgets them."""
    view = ready()
    view.receive_change(10.0)
    now = 10.0
    pauses = []
    for _ in range(10):
        view.receive_failure(now)
        due = view.next_timer()
        assert due is not None
        pauses.append(due - now)
        now = due
        view.handle_timer(now)
    assert pauses[0] < 0.2 and 2.0 < pauses[-1] <= 5.0
    view.receive_failure(now)
    view.receive_failure(now)
    assert view.state is ViewState.IDLE and ports(view) == [1, 2]


def test_view_ignores_a_state_older_than_it_saw() -> None:
    """A server that lags behind is not believed, until it has said the same for so long that it must be true."""
    view = ready()
    view.receive_session(False, 10.0)
    view.receive_session(True, 10.0)
    now = 10.0
    while now < 19.0:
        view.receive_listing(listing("a", changes=4), now)
        assert ports(view) == [1, 2]
        due = view.next_timer()
        assert due is not None
        now = due
        view.handle_timer(now)
    view.handle_timer(30.0)
    view.receive_listing(listing("a", changes=1, parent=0), 30.0)
    view.receive_records({"member_a": record(7)}, 30.0)
    assert ports(view) == [7]


def test_view_that_caught_up_believes_again() -> None:
    """The clock of disbelief starts anew each time."""
    view = ready()
    view.receive_change(10.0)
    view.receive_listing(listing("a", changes=4), 10.0)
    view.handle_timer(10.2)
    view.receive_listing(listing("a", "b", changes=5), 10.2)
    assert not view.is_stale and view.state is ViewState.IDLE


def test_view_starts_from_the_saved_list_when_zookeeper_is_silent() -> None:
    """Asked for after a grace, published unconfirmed, and replaced by the first real list."""
    view = offline()
    assert view.next_timer() == 0.5
    view.handle_timer(0.5)
    assert view.effects() == [LoadSaved()]
    view.receive_saved([instance("a", 1)], 0.5)
    saved = Snapshot(service="users", instances=(instance("a", 1),))
    assert view.effects() == [Publish(saved)] and view.is_stale
    view.receive_session(True, 1.0)
    view.receive_listing(listing("a", changes=1), 1.0)
    assert ports(view) == [1]
    view.receive_records({"member_a": record(1)}, 1.0)
    (snapshot,) = published(view.effects())
    assert snapshot.confirmed_at == 1.0 and not view.is_stale


def test_view_does_not_need_the_saved_list_once_zookeeper_spoke() -> None:
    """What was saved never overrules what is known, and an empty file says nothing."""
    view = ready()
    view.receive_saved([instance("z", 9)], 6.0)
    assert view.effects() == [] and ports(view) == [1, 2]
    empty = offline()
    empty.receive_saved([], 0.5)
    assert empty.snapshot is None


def test_view_saves_changes_after_a_pause_and_at_the_end() -> None:
    """A burst is saved once; an empty list never; what waits is saved when it ends."""
    view = online()
    view.receive_listing(listing("a", "b", changes=2), 0.0)
    view.receive_records({"member_a": record(1), "member_b": record(2)}, 0.0)
    view.effects()
    view.handle_timer(1.0)
    assert view.snapshot is not None and view.effects() == [Save(view.snapshot)]
    view.receive_change(10.0)
    view.receive_listing(listing("a", changes=3), 10.0)
    view.effects()
    view.finish()
    assert [type(effect) for effect in view.effects()] == [Save]
    view.finish()
    assert view.effects() == []
    view.receive_change(20.0)
    view.receive_listing(listing(changes=4), 20.0)
    view.effects()
    view.finish()
    assert view.effects() == [] and ports(view) == []


def test_view_offline_keeps_its_list_and_ignores_late_answers() -> None:
    """Losing ZooKeeper takes nothing away."""
    view = ready()
    view.receive_change(10.0)
    view.receive_session(False, 10.0)
    view.effects()
    view.receive_listing(None, 10.1)
    view.receive_failure(10.1)
    view.receive_change(10.2)
    view.handle_timer(100.0)
    assert published(view.effects()) == [] and ports(view) == [1, 2] and view.state is ViewState.OFFLINE


def created(name: str) -> Change:
    """What a watch tells of a member that came."""
    return Change(ChangeKind.CREATED, f"member_{name}")


def deleted(name: str) -> Change:
    """What a watch tells of a member that went."""
    return Change(ChangeKind.DELETED, f"member_{name}")


def followed(*names: str) -> ServiceView:
    """A view at time 10 that knows these members, with ports from 1 on, and is told of changes by name."""
    view = online()
    view.receive_listing(listing(*names, changes=len(names)), 0.0, followed=True)
    view.receive_records({f"member_{name}": record(1 + n) for n, name in enumerate(names)}, 0.0)
    view.handle_timer(10.0)
    view.effects()
    return view


def test_view_that_is_told_names_reads_only_these() -> None:
    """No listing: a new record is read, and a member that went is looked at once more."""
    view = followed("a", "b")
    view.receive_events([created("c")], 10.0)
    assert view.effects() == [ReadRecords(("member_c",))]
    view.receive_records({"member_c": record(3, 20)}, 10.0)
    assert [len(told.instances) for told in published(view.effects())] == [3]
    view.receive_events([deleted("a")], 20.0)
    assert view.effects() == [ReadRecords(("member_a",))]
    view.receive_records({"member_a": None}, 20.0)
    assert ports(view) == [2, 3] and view.state is ViewState.IDLE


def test_view_that_is_told_names_collects_a_burst() -> None:
    """The first is read at once, the others together; who came and went in the meantime is not read at all."""
    view = followed("a", "b")
    view.receive_events([created("c")], 10.0)
    view.effects()
    view.receive_records({"member_c": record(3)}, 10.0)
    view.receive_events([created("d"), created("e")], 10.02)
    view.receive_events([deleted("e"), Change(ChangeKind.CHANGED, "member_a")], 10.04)
    assert published(view.effects()) and view.next_timer() == 10.1
    view.handle_timer(10.1)
    assert view.effects() == [ReadRecords(("member_a", "member_d"))]
    view.receive_records({"member_a": record(9), "member_d": record(4)}, 10.1)
    assert ports(view) == [9, 2, 3, 4]


def test_view_never_misses_a_member_that_is_replaced_in_one_transaction() -> None:
    """Told in two messages, it is never missing from the list: the look after the first finds the new node."""
    view = followed("a", "b")
    view.receive_events([deleted("a")], 10.0)
    assert view.effects() == [ReadRecords(("member_a",))]
    view.receive_records({"member_a": record(9, 20)}, 10.0)
    (told,) = published(view.effects())
    assert [member.endpoint.port for member in told.instances] == [9, 2]
    view.receive_events([created("a")], 10.2)
    assert view.effects() == [ReadRecords(("member_a",))]
    view.receive_records({"member_a": record(9, 20)}, 10.2)
    assert published(view.effects()) == []


def test_view_lists_when_many_are_told_to_have_gone() -> None:
    """One request instead of one for each; those that came are read all the same, and nothing else."""
    names = [f"w{number:02}" for number in range(40)]
    view = followed(*names)
    view.receive_events([deleted(name) for name in names[:30]] + [created("x")], 10.0)
    assert view.effects() == [ListMembers()]
    view.receive_listing(listing(*names[30:], "x", changes=71), 10.0, followed=True)
    assert view.effects() == [ReadRecords(("member_x",))]


def test_view_finds_out_that_it_was_told_too_little() -> None:
    """What is told is counted, so that the refresh shows what was not: the marks are wanted, and only then."""
    view = followed("a", "b")
    view.receive_events([deleted("a"), created("a")], 10.0)
    view.receive_records({"member_a": record(9, 20)}, 10.0)
    assert not view.wants_marks(listing("a", "b", changes=4)) and view.wants_marks(listing("a", "b", changes=6))
    view.receive_change(70.0)
    view.effects()
    # Nobody has another mark, and the record that was read because it was told does not explain what was hidden.
    view.receive_listing(with_marks(listing("a", "b", changes=6), "a~9", "b~2"), 70.0, followed=True)
    assert view.effects() == [ReadRecords(("member_a", "member_b"))]


def vector(text: str) -> Record:
    """A node with weights."""
    return Record(payload=b'{"vector":[%s]}' % text.encode(), created_zxid=1)


def weights(view: ServiceView) -> list[float]:
    """Of the members, in the order of their ids."""
    assert view.snapshot is not None
    return [member.weight for member in view.snapshot.instances]


def test_view_multiplies_by_finagles_weights() -> None:
    """They are counted as the parent's children and no members; turned, in the same node, they are read again."""
    view = followed("a", "b")
    view.receive_events([created("c"), Change(ChangeKind.CREATED, "vector_1")], 10.0)
    assert view.effects() == [ReadRecords(("member_c", "vector_1"))]
    view.receive_records({"member_c": record(3), "vector_1": vector('{"select":"member=member_a","weight":3}')}, 10.0)
    assert weights(view) == [3.0, 1.0, 1.0] and view.snapshot is not None and view.snapshot.skipped == 0
    names = frozenset({"member_a", "member_b", "member_c", "vector_1"})
    assert not view.wants_marks(Listing(names=names, created_zxid=1, changes=4))
    view.receive_events([Change(ChangeKind.CHANGED, "vector_1")], 20.0)
    view.receive_records({"vector_1": vector('{"select":"inet=127.0.0.1:2","weight":0.5}')}, 20.0)
    assert weights(view) == [1.0, 0.5, 1.0]
    view.receive_events([Change(ChangeKind.DELETED, "vector_1")], 30.0)
    view.receive_records({"vector_1": None}, 30.0)
    assert weights(view) == [1.0, 1.0, 1.0]


def test_view_reads_weights_again_whose_change_it_may_have_missed() -> None:
    """After a reconnect, and when a one-shot watch on their node fires; our own members' records never change."""
    view = online()
    names = frozenset({"member_a", "vector_1"})
    view.receive_listing(Listing(names=names, created_zxid=1, changes=2), 0.0)
    view.receive_records({"member_a": record(1), "vector_1": vector('{"select":"member=member_a","weight":3}')}, 0.0)
    assert weights(view) == [3.0]
    view.effects()
    view.receive_values(["vector_1", "member_z"], 10.0)
    assert view.effects() == [ListMembers()]
    view.receive_listing(Listing(names=names, created_zxid=1, changes=2), 10.0)
    assert view.effects() == [ReadRecords(("vector_1",))]
    view.receive_records({"vector_1": vector('{"select":"member=member_a","weight":2}')}, 10.0)
    assert weights(view) == [2.0]
    view.receive_session(False, 20.0)
    view.receive_session(True, 21.0)
    view.effects()
    view.receive_listing(Listing(names=names, created_zxid=1, changes=2), 21.0)
    assert view.effects() == [ReadRecords(("vector_1",))]


def test_view_of_a_foreign_tree_looks_at_its_members_only() -> None:
    """By the prefix of their names; the others are counted, and not read."""
    tree = Tree(path="/t", format="serverset")
    view = ServiceView("users", CONFIG, rng=lambda: 0.5, now=0.0, tree=tree)
    view.receive_session(True, 0.0)
    view.effects()
    names = frozenset({"member_a", "lock", "vector_1"})
    view.receive_listing(Listing(names=names, created_zxid=1, changes=3), 0.0)
    assert view.effects() == [ReadRecords(("member_a", "vector_1"))]


def test_view_lists_again_under_a_parent_that_was_created_again() -> None:
    """Its counter has begun anew; and what is told of a parent that is missing leads to a listing, too."""
    view = followed("a")
    view.receive_events([deleted("a"), Change(ChangeKind.DELETED, "")], 10.0)
    assert view.effects() == [ListMembers()]
    view.receive_listing(None, 10.0, followed=True)
    assert published(view.effects())[0].instances == ()
    view.receive_events([Change(ChangeKind.CREATED, "")], 20.0)
    assert view.effects() == [ListMembers()]
    view.receive_listing(listing("a", changes=1, parent=20), 20.0, followed=True)
    assert view.effects() == [ReadRecords(("member_a",))]


def test_view_refreshes_although_changes_are_told_all_the_time() -> None:
    """The safety net does not wait for a quiet minute."""
    view = followed("a", "b")
    now = 10.0
    while ListMembers() not in view.effects():
        assert now < 75.0
        now += 1.0
        view.receive_events([Change(ChangeKind.CHANGED, "member_a")], now)
        view.receive_records({"member_a": record(1)}, now)
        view.handle_timer(now)
    assert now > 50.0


def test_view_counts_nothing_on_from_a_listing_that_it_did_not_accept() -> None:
    """A server that lags tells of changes which are known: they only lead to another listing."""
    view = followed("a", "b")
    view.receive_session(False, 20.0)
    view.receive_session(True, 21.0)
    assert view.effects() == [ListMembers()]
    view.receive_listing(listing("a", changes=1), 21.0, followed=True)
    view.receive_events([created("b")], 21.5)
    assert view.effects() == [ListMembers()]
    view.receive_listing(listing("a", "b", changes=2), 21.5, followed=True)
    assert published(view.effects()) == [] and view.state is ViewState.IDLE and ports(view) == [1, 2]


def test_view_that_could_not_read_what_was_told_lists() -> None:
    """As after any failure."""
    view = followed("a")
    view.receive_events([created("b")], 10.0)
    view.effects()
    view.receive_records({}, 10.0)
    timer = view.next_timer()
    assert timer is not None and timer < 10.2
    view.handle_timer(timer)
    assert view.effects() == [ListMembers()]


class Directory:
    """A model of the members' parent, a session with one watch, and the shell's obedience, with faults. In a foreign
    tree, nodes get other values, too."""

    def __init__(self, tree: Tree | None = None) -> None:
        self.view = ServiceView("users", CONFIG, rng=lambda: 0.5, now=0.0, tree=tree)
        self.foreign = tree is not None
        self.value_watches: set[str] = set()
        self.followed = self.missed = False
        """Whether a watch that stays has told of other values, and that was dropped."""
        self.nodes: dict[str, Record] | None = None
        self.marks: set[str] = set()
        self.before_marks: list[tuple[str, int]] = []
        self.zxid = 0
        self.parent = 0
        self.changes = self.changed = 0
        self.connected = False
        self.watched = False
        self.names_changes = False
        """Whether the server knows watches that stay."""
        self.told: list[Change] | None = None
        """What such a watch has told; None while there is none."""
        self.fail = 0
        self.between: list[tuple[str, int]] = []
        self.now = 0.0

    def change(self, kind: str, which: int) -> None:
        """One transaction at the server."""
        self.zxid += 1
        name, before = f"member_{which % 4}", self.changes
        existed = None if self.nodes is None else dict(self.nodes)
        if kind == "drop":
            self.nodes = None
        elif self.nodes is None:
            self.nodes, self.parent, self.changes = {}, self.zxid, 0
        elif kind == "leave" and name in self.nodes:
            del self.nodes[name]
            self.changes += 1
        elif kind == "join" and name not in self.nodes:
            self.make(name, which)
            self.changes += 1
        elif kind == "replace" and name in self.nodes:
            self.make(name, which)
            self.changes += 2
        elif kind == "rewrite" and name in self.nodes:
            payload = record(1 + which).payload
            self.nodes[name] = Record(payload=payload, created_zxid=self.nodes[name].created_zxid)
        elif kind == "sweep":
            # Of the marks of a member only the newest is needed, and that only while there is a member.
            newest = {read_mark(one)[0]: one for one in sorted(self.marks, key=lambda one: one.rpartition("-")[2])}
            self.marks = {one for member, one in newest.items() if member in self.nodes}
        if self.changes != before:
            self.changed = self.zxid
        if self.told is not None and self.connected:
            self.told += tell_apart(existed, self.nodes)
        now = self.nodes or {}
        self.fire({one for one in self.value_watches if now.get(one) != (existed or {}).get(one)})
        if self.watched and self.connected:
            self.watched = False
            self.view.receive_change(self.now)

    def make(self, name: str, which: int) -> None:
        """A node, and the mark that all make with it but the one who is no registrar of ours."""
        assert self.nodes is not None
        self.nodes[name] = record(1 + which, self.zxid)
        if not name.endswith("3"):
            self.marks.add(mark_path(f"/{name}", self.nodes[name].payload, f"{self.zxid:04}").rpartition("/")[2])

    def listing(self) -> Listing | None:
        """The members and, if the view wants them, the marks a little later."""
        if self.nodes is None:
            return None
        found = Listing(
            names=frozenset(self.nodes), created_zxid=self.parent, changes=self.changes, changed_zxid=self.changed
        )
        if self.foreign or not self.view.wants_marks(found):
            return found
        before, self.before_marks = self.before_marks, []
        for kind, which in before:
            self.change(kind, which)
        return dataclasses.replace(found, marks=frozenset(self.marks))

    def execute(self, effect: Effect) -> None:
        """Obeys one effect; other clients' changes may come between a listing, its marks and its reads."""
        failing = self.fail > 0 and not isinstance(effect, (Publish, Save, LoadSaved))
        self.fail -= failing
        if isinstance(effect, ListMembers):
            if failing or not self.connected:
                self.view.receive_failure(self.now)
                return
            self.missed |= any(change.kind is ChangeKind.CHANGED for change in self.told or ())
            self.watched, self.told = not self.names_changes, [] if self.names_changes else None
            self.followed, missed, self.missed = self.names_changes, self.missed, False
            self.view.receive_listing(self.listing(), self.now, followed=self.names_changes, missed=missed)
        elif isinstance(effect, ReadRecords):
            between, self.between = self.between, []
            for kind, which in between:
                self.change(kind, which)
            names = effect.names[::2] if failing else effect.names
            nodes = self.nodes or {}
            records = {name: nodes.get(name) for name in names} if self.connected else {}
            if self.foreign and not self.followed:
                self.value_watches.update(name for name, found in records.items() if found)
            self.view.receive_records(records, self.now)

    def fire(self, names: set[str]) -> None:
        """One-shot watches on the values of these nodes fire, as they do when the connection is lost."""
        fired, self.value_watches = set(names), self.value_watches - names
        if fired:
            self.view.receive_values(fired, self.now)

    def run(self) -> None:
        """Executes what the view asks for, and tells it what its watch has told, one by one, in bounded steps."""
        for _ in range(30):
            for effect in self.view.effects():
                self.execute(effect)
            if self.told:
                self.view.receive_events([self.told.pop(0)], self.now)

    def act(self, action: str, which: int) -> None:
        """One step of the outside world."""
        if action == "connect":
            self.names_changes = self.names_changes if self.connected else which % 2 == 0
            self.connected = True
            self.view.receive_session(True, self.now)
        elif action == "suspend":
            self.fire(self.value_watches)
            self.connected = self.watched = False
            self.told = None
            self.view.receive_session(False, self.now)
        elif action == "flip":
            # Lost and found again before the view has heard of it, perhaps at another server.
            self.missed |= self.told is not None
            self.fire(self.value_watches)
            self.watched, self.told, self.names_changes = False, None, which % 2 == 0
            self.view.receive_change(self.now)
        elif action == "fail":
            self.fail = which % 3
        elif action == "wait":
            self.now = max(self.now, self.view.next_timer() or 0.0)
            self.view.handle_timer(self.now)
        elif action.startswith("then "):
            self.between.append((action.removeprefix("then "), which))
        elif action.startswith("first "):
            self.before_marks.append((action.removeprefix("first "), which))
        else:
            self.change(action, which)
        self.run()


def tell_apart(before: dict[str, Record] | None, after: dict[str, Record] | None) -> list[Change]:
    """What ZooKeeper tells of one transaction to a watch that stays."""
    old, new = before or {}, after or {}
    made = {name: node.created_zxid for name, node in new.items()}
    gone = [name for name, node in old.items() if made.get(name) != node.created_zxid]
    told = [Change(ChangeKind.DELETED, name) for name in gone]
    if (before is None) != (after is None):
        told.append(Change(ChangeKind.DELETED if after is None else ChangeKind.CREATED, ""))
    told += [Change(ChangeKind.CREATED, name) for name in new if name in gone or name not in old]
    return told + [Change(ChangeKind.CHANGED, name) for name in set(old) - set(gone) if old[name] != new[name]]


STEPS = [
    *("connect", "suspend", "flip", "fail", "wait", "drop", "join", "join", "leave", "replace"),
    *("then join", "then leave", "then replace", "then drop"),
    *("first join", "first leave", "first replace", "first drop", "replace", "sweep"),
]


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), max_size=30))
def test_view_converges_to_the_truth_whatever_happened(steps: list[tuple[str, int]]) -> None:
    """After a quiet second and without any refresh, the view holds the very records that are there."""
    converge(Directory(), steps)


REWRITES = [
    *("suspend", "connect", "flip", "flip", "fail", "wait", "join", "leave", "replace", "then leave", "then replace"),
    *("rewrite", "rewrite", "rewrite", "rewrite", "then rewrite", "then rewrite"),
]


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 1), st.lists(st.tuples(st.sampled_from(REWRITES), st.integers(0, 30)), min_size=3, max_size=20))
def test_view_of_a_foreign_tree_converges_although_records_change(mode: int, steps: list[tuple[str, int]]) -> None:
    """The same where nodes get other values, with watches that stay and with one-shot watches."""
    world = Directory(Tree(path="/discovery/users"))
    converge(world, [("join", 0), ("join", 0), ("join", 1), ("connect", mode), *steps])


def converge(world: Directory, steps: list[tuple[str, int]]) -> None:
    """Takes the steps and waits for a quiet time; compares."""
    for action, which in steps:
        world.act(action, which)
    world.fail = 0
    world.act("connect", 0)
    quiet = world.now + 20.0
    while (world.view.next_timer() or quiet) < quiet:
        world.act("wait", 0)
    found = {} if world.nodes is None else world.nodes
    newest = {node.payload: node for node in sorted(found.values(), key=lambda node: node.created_zxid)}
    assert world.view.snapshot is not None
    held = sorted(dump_serverset(member) for member in world.view.snapshot.instances)
    assert held == sorted(newest) and world.view.state is ViewState.IDLE
