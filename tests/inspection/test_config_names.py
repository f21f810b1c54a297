"""Which names in a config stand for nothing, judged without ZooKeeper."""

from __future__ import annotations

from zkrpc.config import MethodConfig, ServiceConfig
from zkrpc.idl import Interface, load_text
from zkrpc.inspection.config_names import judge_names


def interface(*methods: str, name: str = "Users") -> Interface:
    """An interface with these methods, each with a parameter id."""
    functions = ", ".join(f"void {one}(1: i64 id)" for one in methods)
    found = load_text(f"service {name} {{ {functions} }}").__getattr__(name)
    assert isinstance(found, Interface)
    return found


def config(*methods: str, hash_key: str | None = None) -> ServiceConfig:
    """A config that speaks of these methods."""
    return ServiceConfig(methods={one: MethodConfig(timeout=1.0) for one in methods}, hash_key=hash_key)


def test_names_that_the_interface_has_are_right() -> None:
    """As is a config without names, whatever is known."""
    assert judge_names(config("get", hash_key="id"), [interface("get", "put")]) == judge_names(config(), [])
    assert judge_names(ServiceConfig(timeout=1.0), [], ["nobody serves it"]).notes == ()


def test_misspelt_method_is_told_with_those_that_are_like_it() -> None:
    """By its place in the file; with all methods if none is like it."""
    (wrong,) = judge_names(config("gte", "put"), [interface("get", "put")]).wrong
    assert str(wrong) == "methods.gte: Users has no method 'gte'; did you mean get?"
    assert (wrong.path, wrong.alike) == ("methods.gte", ("get",))
    (wrong,) = judge_names(config("erase"), [interface("get", "put")]).wrong
    assert wrong.message == "Users has no method 'erase'; there are get, put" and wrong.alike == ()
    (wrong,) = judge_names(config("erase"), [interface(*(f"m{number:02}" for number in range(20)))]).wrong
    assert wrong.message.endswith("there are m00, m01, m02, m03, m04, m05, m06, m07 and 12 more")
    (wrong,) = judge_names(config("erase"), [interface()]).wrong
    assert wrong.message == "Users has no method 'erase'; there are none"


def test_parameter_to_hash_by_is_one_of_some_method() -> None:
    """Else every call would go anywhere."""
    (wrong,) = judge_names(config(hash_key="idd"), [interface("get")]).wrong
    assert str(wrong) == "hash_key: no method of Users has a parameter 'idd'; did you mean id?"


def test_what_is_masked_is_a_field_or_a_parameter() -> None:
    """Else it would be seen."""
    good = ServiceConfig(tap_masked=("id", "get.id"))
    assert judge_names(good, [interface("get")]).wrong == ()
    (wrong,) = judge_names(ServiceConfig(tap_masked=("get.idd",)), [interface("get")]).wrong
    assert str(wrong) == "tap.masked: no field or parameter of Users is 'get.idd'; did you mean get.id?"


def test_method_with_a_list_of_who_may_call_it_is_one_of_the_interface() -> None:
    """Else it would be open to everybody. Built-in services are none of it."""
    lists = {name: ("any",) for name in ("get", "*", "zkrpc.Introspection")}
    assert judge_names(ServiceConfig(allow=lists), [interface("get")]).wrong == ()
    (wrong,) = judge_names(ServiceConfig(allow={"gte": ()}), [interface("get")]).wrong
    assert str(wrong) == "allow.gte: Users has no method 'gte'; did you mean get?"


def test_method_of_one_interface_is_one_of_its_own() -> None:
    """Of settings and of lists; what is like it is looked for among names of the same kind."""
    both = [interface("get"), interface("log", name="Audit")]
    good = {"Users:get": ("any",), "Audit:log": ("any",), "log": ("any",)}
    assert judge_names(ServiceConfig(allow=good, methods=config(*good).methods), both).wrong == ()
    wrong = judge_names(ServiceConfig(allow={"Users:log": ()}, methods=config("Audit:lgo").methods), both).wrong
    assert [(one.path, one.alike[0]) for one in wrong] == [
        ("methods.Audit:lgo", "Audit:log"),
        ("allow.Users:log", "Users:get"),
    ]


def test_name_of_any_version_is_right() -> None:
    """During a rollout some instances have what others have not."""
    versions = [interface("get", "find"), interface("get", "search")]
    judged = judge_names(config("find", "search", "gett"), versions)
    assert [str(one) for one in judged.wrong] == [
        "methods.gett: Users, in 2 versions, has no method 'gett'; did you mean get?"
    ]
    both = [interface("get"), interface("get", name="People")]
    assert judge_names(config("x"), both).wrong[0].message.startswith("People and Users has no")


def test_what_is_not_known_is_a_note() -> None:
    """Without an IDL nothing is compared; beside instances that do not tell theirs no name is certainly wrong."""
    judged = judge_names(config("gte"), [], ["it has no instances"])
    assert (judged.wrong, judged.notes) == (
        (),
        ("the names in it were not compared with an IDL: it has no instances",),
    )
    judged = judge_names(config("gte", "get"), [interface("get")], ["old-1 registered without naming one"])
    assert judged.wrong == () and judged.notes == (
        "methods.gte: Users has no method 'gte'; did you mean get?; "
        "it may be right nevertheless: old-1 registered without naming one",
    )
