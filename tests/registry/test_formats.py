"""Records: golden bytes of both formats, foreign records, and garbage."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.formats import (
    LAUNCH,
    MAX_RECORD,
    PID,
    SESSION_TIMEOUT,
    PrimaryRecord,
    describe_record,
    dump_curator,
    dump_plain_curator,
    dump_serverset,
    launch_of,
    parse_record,
    session_timeout_of,
)

GOLDEN = Path(__file__).with_name("golden")

PLAIN = Instance(id="w1", endpoint=Endpoint("10.0.0.3", 9090))
FULL = Instance(
    id="w1",
    endpoint=Endpoint("10.0.0.3", 9090),
    weight=2.5,
    zone="eu-1",
    protocols=("zkrpc", "framed"),
    started_at=1621155920.25,
    version="1.4.0",
    shard=3,
    idl_digest="ab" * 4,
    interface="Users",
    primary_only=("put", "drop"),
    metadata=MappingProxyType({LAUNCH: "L1", PID: "17", "owner": "Zoë"}),
)

TWITTER = (
    b'{"serviceEndpoint":{"host":"10.0.0.3","port":9090},'
    b'"additionalEndpoints":{"http-admin":{"host":"10.0.0.3","port":9990}},'
    b'"status":"ALIVE","shard":0,"metadata":{"k":"v"}}'
)
SPRING = (
    b'{"name":"cloud-provider-payment","id":"dbac9cf3-6555-40e2-996e-d2686190f47e","address":"PIG","port":8004,'
    b'"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",'
    b'"id":"application-1","name":"cloud-provider-payment","metadata":{}},"registrationTimeUTC":1621155920122,'
    b'"serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://",'
    b'"variable":false},{"value":"address","variable":true},{"value":":","variable":false},'
    b'{"value":"port","variable":true}]}}'
)


@pytest.mark.parametrize(
    ("dump", "status"),
    [(dump_serverset, b'"status":"WARNING"'), (lambda one: dump_curator(one, "users"), b"OUT_OF_SERVICE")],
)
def test_instance_that_is_not_ready_says_why(dump: Any, status: bytes) -> None:
    """In a way that Finagle and Spring leave it out; without a reason of ours it is out of service for us, too."""
    unready = dataclasses.replace(FULL, unready="is_healthy returned False")
    payload = dump(unready)
    assert status in payload
    assert parse_record("member_w1", payload) == unready
    assert parse_record("member_w1", payload.replace(b"zkrpc.unready", b"something.else")) is None
    foreign = dump(PLAIN).replace(b"ALIVE", b"WARNING").replace(b'"UP"', b'"OUT_OF_SERVICE"')
    assert parse_record("member_w1", foreign) is None


BEARING = dataclasses.replace(FULL, admin=Endpoint("10.0.0.3", 9464))
UNREADY = dataclasses.replace(PLAIN, unready="warming up")
WRITTEN = {
    "serverset-least.json": lambda: dump_serverset(PLAIN),
    "serverset-most.json": lambda: dump_serverset(BEARING, named="thrift"),
    "curator-plain.json": lambda: dump_plain_curator(FULL, "users"),
    "curator-disabled.json": lambda: dump_plain_curator(UNREADY, "users"),
    "curator-spring.json": lambda: dump_curator(FULL, "users"),
}


@pytest.mark.parametrize("file", WRITTEN)
def test_record_has_golden_bytes(file: str) -> None:
    """Keys in their libraries' order, nulls where Curator writes them, nothing unset in a ServerSet but the three keys
    that every reader needs, our facts as strings under metadata, UTF-8 unescaped. What Curator makes of its files is
    tested with Curator itself, in tests/interop/test_curator.py."""
    assert WRITTEN[file]() == (GOLDEN / file).read_bytes()


def test_plain_curator_record_has_no_room_for_facts() -> None:
    """The address and the start are read back; one that is not ready is not enabled, and so out of service."""
    read = parse_record("w1", dump_plain_curator(FULL, "users"))
    assert read == Instance(id="w1", endpoint=FULL.endpoint, started_at=FULL.started_at)
    assert parse_record("w1", dump_plain_curator(UNREADY, "users")) is None
    with pytest.raises(ConfigError, match="no usable port"):
        dump_plain_curator(dataclasses.replace(PLAIN, endpoint=Endpoint("h", 0)), "users")


def test_additional_endpoint_is_written_and_read_by_its_name() -> None:
    """Its address is then the instance's; a record without it, or in a format without names, cannot be used."""
    record = dump_serverset(BEARING, named="thrift")
    assert parse_record("member_w1", record, named="thrift") == BEARING
    other = parse_record("member_0000000004", TWITTER, named="http-admin")
    assert other is not None and str(other.endpoint) == "10.0.0.3:9990"
    odd = parse_record("m", _edited(TWITTER, serviceEndpoint=7), named="http-admin")
    assert odd is not None and odd.endpoint == other.endpoint
    with pytest.raises(RemoteProtocolError, match="no additional endpoint 'thrift'"):
        parse_record("m", TWITTER, named="thrift")
    with pytest.raises(RemoteProtocolError, match="not a ServerSet record"):
        parse_record("m", SPRING, named="thrift")
    with pytest.raises(ConfigError, match="'admin' is the admin door's"):
        dump_serverset(BEARING, named="admin")


def test_id_is_the_nodes_name_without_the_prefix_of_members() -> None:
    """Some prefix other than Finagle's, or none."""
    found = [parse_record("instance-7", TWITTER, prefix=prefix) for prefix in ("member_", "instance-", "")]
    assert [one.id for one in found if one is not None] == ["instance-7", "7", "instance-7"]


def test_record_of_several_services_names_them() -> None:
    """With the digests of the texts of those beside the default one; in fields that earlier readers take for anybody's
    metadata. A name without a digest is not one of these, and a record without the fields says nothing."""
    several = dataclasses.replace(FULL, services=("Users", "Audit", "Base"), also={"Audit": "cd" * 32})
    payload = dump_serverset(several)
    assert b'"zkrpc.services":"Users,Audit,Base","zkrpc.also":"Audit=' + b"cd" * 32 + b'",' in payload
    for read in (parse_record("w1", payload), parse_record("w1", dump_curator(several, "users"))):
        assert read == several and "zkrpc.services" not in read.metadata
    odd = parse_record("w1", payload.replace(b"Audit=", b"Audit,=x,Other="))
    assert odd is not None and odd.also == {"": "x", "Other": "cd" * 32}
    silent = parse_record("w1", dump_serverset(FULL))
    assert silent is not None and silent.services == () and not silent.also
    for wrong in ({"services": ("a,b",)}, {"also": {"a": "b,c"}}, {"also": {"a=b": "c"}}, {"also": {"a": ""}}):
        with pytest.raises(ConfigError):
            dump_serverset(dataclasses.replace(FULL, **wrong))


@pytest.mark.parametrize("instance", [PLAIN, FULL])
def test_both_formats_are_read_back_as_the_instance(instance: Instance) -> None:
    """Whichever format the registry is set to, readers see the same instance."""
    assert parse_record("member_w1", dump_serverset(instance)) == instance
    assert parse_record("w1", dump_curator(instance, "users")) == instance


def test_admin_door_is_where_prometheus_looks_for_it() -> None:
    """An additional endpoint of a ServerSet; Curator has no such thing. One that cannot be read is none."""
    instance = dataclasses.replace(PLAIN, admin=Endpoint("10.0.0.3", 9464))
    record = dump_serverset(instance)
    assert json.loads(record)["additionalEndpoints"] == {"admin": {"host": "10.0.0.3", "port": 9464}}
    assert parse_record("member_w1", record) == instance
    curator = dump_curator(dataclasses.replace(instance, admin=Endpoint("::1", 9464)), "users")
    read = parse_record("member_w1", curator)
    assert read is not None and read.admin == Endpoint("::1", 9464) and "zkrpc.admin" not in read.metadata
    for bad in ('{"host":"h"}', "[]", "7", '{"host":"h","port":"94x4"}', '{"host":"a b","port":1}'):
        text = record.decode().replace('{"host":"10.0.0.3","port":9464}', bad)
        found = parse_record("member_w1", text.encode())
        assert found is not None and found.admin is None
    for place in ("h:x", "h", ":1", "h:99999999999999999999", "h:\u0663"):
        found = parse_record("member_w1", curator.decode().replace("[::1]:9464", place).encode())
        assert found is not None and found.admin is None


def test_a_twitter_record_is_read() -> None:
    """Finagle's own record, additional endpoints and all."""
    assert parse_record("member_0000000004", TWITTER) == Instance(
        id="0000000004", endpoint=Endpoint("10.0.0.3", 9090), shard=0, metadata={"k": "v"}
    )


def test_a_spring_record_is_read() -> None:
    """Spring Cloud Zookeeper's own record; the id is the node's name."""
    instance = parse_record("dbac9cf3", SPRING)
    assert instance == Instance(id="dbac9cf3", endpoint=Endpoint("PIG", 8004), started_at=1621155920.122)


def test_a_curator_record_with_nulls_is_read() -> None:
    """Plain Curator users write null payloads and specs."""
    payload = b'{"name":"n","id":"i","address":"h","port":1,"payload":null,"uriSpec":null,"enabled":true}'
    assert parse_record("i", payload) == Instance(id="i", endpoint=Endpoint("h", 1))


def _edited(payload: bytes, /, **changes: Any) -> bytes:
    return json.dumps({**json.loads(payload), **changes}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        *(_edited(TWITTER, status=status) for status in ("STARTING", "STOPPING", "STOPPED", "DEAD", "WARNING")),
        _edited(SPRING, enabled=False),
        _edited(SPRING, payload={"metadata": {"instance_status": "OUT_OF_SERVICE"}}),
    ],
)
def test_an_instance_out_of_service_is_no_instance(payload: bytes) -> None:
    """Each format's way of saying "not now" is honoured, and is not an error."""
    assert parse_record("m", payload) is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"\x0c\x00\x01\x0b", "neither|not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "neither"),
        (b"[" * 50_000, "not JSON"),
        (b"1" * 5_000, "not JSON"),
        (b'{"address":"h","port":NaN}', "not JSON"),
        (b'{"address":"h","port":1,"x":"\\ud800"}', "not JSON"),
        (b" " * (MAX_RECORD + 1), "is over"),
        (_edited(TWITTER, serviceEndpoint=7), "not an object"),
        (_edited(TWITTER, serviceEndpoint={"port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "a b", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "h" * 256, "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "h\n", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "a..b", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "x" * 64 + ".example", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "b\u00fccher.example", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "h/1", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "::g", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "10.0.0.3:80", "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": ["h"], "port": 1}), "host"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": -1}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": 1.5}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": 0}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": True}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": 65536}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": "one"}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": "65536"}), "port"),
        (_edited(TWITTER, serviceEndpoint={"host": "h", "port": "9" * 5000}), "port"),
        (_edited(SPRING, port=None), "port"),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(payload: bytes, reason: str) -> None:
    """A znode is untrusted; whatever it holds, the answer is one kind of error."""
    with pytest.raises(RemoteProtocolError, match=reason):
        parse_record("m", payload)


def test_odd_metadata_is_ignored() -> None:
    """Only strings are metadata; the rest of the record still counts."""
    instance = parse_record("m", _edited(TWITTER, metadata={"a": "b", "c": 1, "d": {}}, shard=None))
    assert instance is not None and dict(instance.metadata) == {"a": "b"} and instance.shard is None
    instance = parse_record("m", _edited(TWITTER, metadata=[1]))
    assert instance is not None and not instance.metadata


@pytest.mark.parametrize(
    "changes",
    [
        {"shard": -1},
        {"shard": True},
        {"shard": "x"},
        {"shard": 2**31},
        {"status": None},
        {"status": ["ALIVE"]},
        {"status": "on holiday"},
        {"additionalEndpoints": [1]},
        {"additionalEndpoints": None},
        {"metadata": {"zkrpc.weight": "nan", "zkrpc.started_at": "inf"}},
        {"metadata": {"zkrpc.weight": "-1"}},
        {"metadata": {"zkrpc.weight": "heavy", "zkrpc.started_at": "early"}},
        {"serviceEndpoint": {"host": "10.0.0.3", "port": "9090", "inet": "10.0.0.3"}},
        {"member_id": 4, "later": {"a": [1]}},
    ],
)
def test_odd_field_never_drops_a_serversets_member(changes: dict[str, Any]) -> None:
    """With a host and a port it is a member, and what is odd was not said."""
    found = parse_record("m", _edited(TWITTER, **{"shard": None, "metadata": None, **changes}))
    assert found == Instance(id="m", endpoint=Endpoint("10.0.0.3", 9090))


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": {"metadata": {"zkrpc.shard": "x"}}},
        {"payload": {"metadata": {"zkrpc.shard": "9999999999"}}},
        {"payload": {"metadata": {"instance_status": 7, "zkrpc.admin": "h:"}}},
        {"payload": [1], "registrationTimeUTC": "yesterday", "port": "8004"},
        {"payload": "x", "registrationTimeUTC": -1, "enabled": "no"},
        {"name": 3, "id": None, "sslPort": "x", "uriSpec": 7, "serviceType": {}},
    ],
)
def test_odd_field_never_drops_curators_instance(changes: dict[str, Any]) -> None:
    """With an address and a port it is an instance, and what is odd was not said."""
    found = parse_record("i", _edited(SPRING, **changes))
    assert found is not None and dataclasses.replace(found, started_at=0.0) == Instance(
        id="i", endpoint=Endpoint("PIG", 8004)
    )


def test_the_record_limit_is_the_callers() -> None:
    """A reader may be stricter than the default."""
    with pytest.raises(RemoteProtocolError, match="is over 10"):
        parse_record("m", TWITTER, max_record=10)


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": Endpoint("", 1)},
        {"endpoint": Endpoint("h", 0)},
        {"weight": -1.0},
        {"weight": float("nan")},
        {"started_at": float("nan")},
        {"shard": -1},
        {"protocols": ("a,b",)},
        {"primary_only": ("",)},
        {"zone": "\ud800"},
        {"metadata": {"zkrpc.weight": "2"}},
        {"metadata": {"n": 1}},
        {"metadata": {"x": "x" * MAX_RECORD}},
    ],
)
def test_an_instance_we_could_not_read_is_not_written(changes: dict[str, Any]) -> None:
    """The writer reads its bytes back, so that a mistake shows where it was made."""
    with pytest.raises(ConfigError):
        dump_serverset(dataclasses.replace(FULL, **changes))
    with pytest.raises(ConfigError):
        dump_curator(dataclasses.replace(FULL, **changes), "users")


def test_springs_status_key_is_reserved_in_its_format() -> None:
    """Metadata may not overrule the status that Spring reads."""
    instance = dataclasses.replace(PLAIN, metadata={"instance_status": "UP"})
    assert b"instance_status" in dump_serverset(instance)
    with pytest.raises(ConfigError, match="instance_status"):
        dump_curator(instance, "users")


def test_a_record_tells_people_who_wrote_it() -> None:
    """Conflicts name both sides, as far as the other side's record can be read."""
    assert describe_record(dump_serverset(FULL)) == "10.0.0.3:9090 (pid 17, launch L1)"
    assert describe_record(TWITTER) == "10.0.0.3:9090 (pid unknown, launch unknown)"
    assert describe_record(b"?") == "an unreadable record (pid unknown, launch unknown)"
    assert "not in service" in describe_record(_edited(TWITTER, status="DEAD"))
    assert launch_of(dump_serverset(FULL)) == "L1"
    assert launch_of(b"") == launch_of(TWITTER) == ""


LETTERS = "aZ09 /:{}\"'\\<&=\n\x00\x7fß€😀\u2028"
texts = st.text(LETTERS + ",", max_size=12)
names = st.text(LETTERS, min_size=1, max_size=8)
labels = st.lists(st.text("abc-_0123", min_size=1, max_size=63), min_size=1, max_size=3)
hosts = labels.map(".".join) | st.ip_addresses().map(str)
instances = st.builds(
    Instance,
    id=st.text("abc0123-_.", min_size=1, max_size=10),
    endpoint=st.builds(Endpoint, hosts, st.integers(1, 65535)),
    weight=st.floats(0, 1_000_000),
    zone=texts,
    protocols=st.lists(names, max_size=3).map(tuple),
    started_at=st.floats(0, 1e12),
    version=texts,
    shard=st.none() | st.integers(0, 2**31 - 1),
    idl_digest=texts,
    interface=texts,
    services=st.lists(names, max_size=3).map(tuple),
    also=st.dictionaries(st.from_regex("[A-Za-z_]{1,8}", fullmatch=True), st.text("0af", min_size=1), max_size=2),
    primary_only=st.lists(names, max_size=3).map(tuple),
    tls=st.booleans(),
    admin=st.none() | st.builds(Endpoint, hosts, st.integers(1, 65535)),
    metadata=st.dictionaries(texts, texts, max_size=4),
)


@settings(deadline=None)
@given(instances)
def test_every_instance_survives_both_formats(instance: Instance) -> None:
    """Writing and reading are inverse for everything that may be written."""
    assert parse_record("member_" + instance.id, dump_serverset(instance)) == instance
    assert parse_record("member_" + instance.id, dump_curator(instance, "s")) == instance


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    ["serviceEndpoint", "address", "port", "host", "status", "shard", "metadata", "payload", "enabled"]
)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.dictionaries(known_keys, json_values).map(lambda d: json.dumps(d).encode()))
def test_garbage_is_an_instance_nothing_or_one_error(payload: bytes) -> None:
    """No bytes make the reader raise anything else."""
    try:
        parse_record("m", payload)
    except RemoteProtocolError:
        pass
    describe_record(payload)


def test_primary_is_read_from_its_node() -> None:
    """As it was written, and with what a later version may write beside it; only people need the worker id."""
    record = PrimaryRecord(epoch=7, instance="w1", endpoint=Endpoint("::1", 9090))
    assert PrimaryRecord.parse(b'{"epoch":7,"instance":"w1","endpoint":"[::1]:9090","later":[{}]}') == record
    assert PrimaryRecord.parse(record.dump()) == record
    nobody = dataclasses.replace(record, instance="")
    assert PrimaryRecord.parse(b'{"epoch":7,"endpoint":"[::1]:9090"}') == nobody


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"epoch":7}',
        b'{"endpoint":"h:1"}',
        b'{"epoch":0,"endpoint":"h:1"}',
        b'{"epoch":-7,"endpoint":"h:1"}',
        b'{"epoch":true,"endpoint":"h:1"}',
        b'{"epoch":7.0,"endpoint":"h:1"}',
        b'{"epoch":"7","endpoint":"h:1"}',
        b'{"epoch":9223372036854775808,"endpoint":"h:1"}',
        b'{"epoch":9223372036854775807,"endpoint":"h:1"}',
        b'{"epoch":9007199254740992,"endpoint":"h:1"}',
        b'{"epoch":7,"endpoint":"h"}',
        b'{"epoch":7,"endpoint":"h:65536"}',
        b'{"epoch":7,"endpoint":["h",1]}',
        b'{"epoch":7,"endpoint":"h:' + b"1" * 5000 + b'"}',
        b'{"epoch":7,"instance":3,"endpoint":"h:1"}',
        b"[" * 9000,
        b'{"epoch":7,"endpoint":"h:1"}' + b" " * MAX_RECORD,
    ],
)
def test_primary_that_cannot_be_read_is_nobody(value: bytes) -> None:
    """Without an error, whatever the bytes."""
    assert PrimaryRecord.parse(value) is None


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["epoch", "endpoint"]), json_values | st.just("h:1")).map(
        lambda fields: json.dumps(fields).encode()
    )
)
def test_garbage_is_a_primary_or_nobody(value: bytes) -> None:
    """Nothing else comes out."""
    record = PrimaryRecord.parse(value)
    assert record is None or record.epoch > 0


@pytest.mark.parametrize(
    ("said", "seconds"), [("10", 10.0), ("2.5", 2.5), ("", None), ("soon", None), ("-1", None), ("nan", None)]
)
def test_record_tells_the_session_timeout_of_its_writer(said: str, seconds: float | None) -> None:
    """A number of seconds that is plausible, or none."""
    told = dataclasses.replace(PLAIN, metadata=MappingProxyType({SESSION_TIMEOUT: said} if said else {}))
    assert session_timeout_of(dump_serverset(told)) == seconds
