"""What a certificate proves, and which patterns admit it."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.caller import Caller
from zkrpc.errors import ConfigError
from zkrpc.identity import (
    LONGEST_PATTERN,
    MOST_NAMES,
    MOST_PATTERNS,
    AllowList,
    Identity,
    identity_of,
    is_identity_name,
    split_patterns,
)

WEB = "spiffe://prod/ns/shop/sa/web"


def certificate(*alternatives: tuple[str, str], common: tuple[str, ...] = ()) -> dict[str, Any]:
    """As ``ssl.SSLSocket.getpeercert()`` tells a certificate that was verified."""
    names = tuple((("commonName", name),) for name in common)
    return {
        "subject": ((("countryName", "SE"),), *names),
        "issuer": ((("commonName", "an authority"),),),
        "notAfter": "Nov 27 12:00:00 2027 GMT",
        "subjectAltName": alternatives,
    }


def test_verified_certificate_proves_three_kinds_of_names() -> None:
    """The SPIFFE ID, the DNS names in lower case, and the common name; the most telling one names its holder."""
    identity = identity_of(
        certificate(
            ("DNS", "Web-1.Shop.Internal."), ("URI", WEB), ("DNS", "web"), ("IP Address", "::1"), common=("web",)
        )
    )
    assert identity == Identity(spiffe=WEB, dns=("web-1.shop.internal", "web"), common_name="web")
    assert identity.names == (WEB, "dns:web-1.shop.internal", "dns:web", "cn:web")
    assert identity.name == str(identity) == WEB
    assert Identity(dns=("web",), common_name="x").name == "dns:web"
    assert str(Identity()) == "a certificate without a name" and not Identity().name


def test_without_a_verified_certificate_nobody_is_known() -> None:
    """``getpeercert`` gives None without a certificate, and an empty mapping for one that was not verified."""
    assert identity_of(None) is None
    assert identity_of({}) is None
    assert identity_of({"notAfter": "Nov 27 12:00:00 2027 GMT"}) == Identity()


@pytest.mark.parametrize(
    "uri",
    [
        "https://prod/ns/web",
        "spiffe://prod",
        "spiffe://prod/",
        "spiffe:///ns/web",
        "spiffe://Prod/ns/web",
        "spiffe://user@prod/ns",
        "spiffe://prod:443/ns",
        "spiffe://prod/ns//web",
        "spiffe://prod/ns/../web",
        "spiffe://prod/./web",
        "spiffe://prod/ns/web/",
        "spiffe://prod/ns/%77eb",
        "spiffe://prod/ns/web?a=b",
        "spiffe://prod/ns/web#a",
        "spiffe://prod/ns/*/web",
        "spiffe://prod/ns/web\n",
        "spiffe://prod/ns/web\0",
        "spiffe://prod/ns/w\u00e9b",
        "SPIFFE://prod/ns/web",
        "spiffe://prod/" + "x" * LONGEST_PATTERN,
    ],
)
def test_malformed_spiffe_id_is_none(uri: str) -> None:
    """What one reader might take for another ID than the next is not taken for any."""
    assert identity_of(certificate(("URI", uri))) == Identity()


def test_two_uris_are_no_spiffe_id() -> None:
    """The standard wants exactly one, as readers might pick different ones; the other names stay proven."""
    identity = identity_of(certificate(("URI", WEB), ("URI", "https://x"), ("DNS", "web"), common=("a", "b")))
    assert identity == Identity(dns=("web",))


def test_names_that_stand_for_many_or_are_malformed_are_left_out() -> None:
    """A wildcard in a caller's certificate says nothing about which caller it is; and only so many names are read."""
    bad = ["*.internal", "a..b", ".a", "", "a b", "a\0.internal", "w\u00e9b", "x" * 64, ".".join(["abc"] * 64)]
    assert identity_of(certificate(*(("DNS", name) for name in bad), ("DNS", "ok"), ("DNS", "OK"))) == Identity(
        dns=("ok",)
    )
    for common in ("", " web", "web\n", "\x1b[2J", "x" * 129):
        assert identity_of(certificate(common=(common,))) == Identity(), common
    many = identity_of(certificate(*(("DNS", f"h{number}") for number in range(2 * MOST_NAMES))))
    assert many is not None and len(many.dns) == MOST_NAMES


@pytest.mark.parametrize(
    ("pattern", "admitted", "refused"),
    [
        (WEB, [WEB], ["spiffe://prod/ns/shop/sa/we", "spiffe://prod/ns/shop/sa/web/x", "spiffe://test/ns/shop/sa/web"]),
        (
            "spiffe://prod/ns/*/sa/web",
            [WEB, "spiffe://prod/ns/x/sa/web"],
            ["spiffe://prod/ns/sa/web", "spiffe://prod/ns/a/b/sa/web", "spiffe://prod/ns/shop/sa/jobs"],
        ),
        (
            "spiffe://prod/ns/shop/**",
            [WEB, "spiffe://prod/ns/shop/x"],
            ["spiffe://prod/ns/shop", "spiffe://prod/ns/shopping/x", "spiffe://prod2/ns/shop/x"],
        ),
        ("spiffe://prod/**", [WEB], ["spiffe://prod2/ns"]),
        ("dns:Web.Internal.", ["dns:web.internal"], ["dns:a.web.internal", "cn:web.internal"]),
        (
            "dns:*.web.internal",
            ["dns:a.web.internal"],
            ["dns:web.internal", "dns:a.b.web.internal", "dns:a.xweb.internal", "dns:internal"],
        ),
        ("cn:nightly report", ["cn:nightly report"], ["cn:nightly", "cn:Nightly report", "dns:nightly"]),
        ("any", [WEB, "dns:a", "cn:a", ""], []),
    ],
)
def test_pattern_admits_what_it_says_and_nothing_else(pattern: str, admitted: list[str], refused: list[str]) -> None:
    """``*`` is one segment or label, ``**`` whatever follows, letters of hosts match in any case; and no pattern at all
    admits a peer without a verified certificate."""
    allowed = AllowList([pattern])
    for name in admitted:
        assert allowed.admits(holder(name)), name
    for name in refused:
        assert not allowed.admits(holder(name)), name
    assert not allowed.admits(None)


def holder(name: str) -> Identity:
    """An identity of one name."""
    if name.startswith("spiffe:"):
        return Identity(spiffe=name)
    kind, _, rest = name.partition(":")
    return Identity(dns=(rest,)) if kind == "dns" else Identity(common_name=rest)


def test_list_admits_who_matches_any_of_its_patterns() -> None:
    """By any name of the certificate; an empty list admits nobody."""
    allowed = AllowList(["dns:*.web.internal", "cn:jobs", "spiffe://prod/ns/*/sa/web"])
    for identity in (Identity(spiffe=WEB), Identity(dns=("x", "a.web.internal")), Identity(common_name="jobs")):
        assert allowed.admits(identity)
    assert not allowed.admits(Identity(spiffe="spiffe://prod/x", dns=("x",), common_name="x"))
    nobody = AllowList([])
    assert not nobody.admits(Identity(spiffe=WEB)) and str(nobody) == "nobody"
    assert repr(AllowList(["cn:a", "any"])) == "<AllowList cn:a, any>"


def test_lists_of_the_same_patterns_are_equal() -> None:
    """In any order and however often; so that a config that says the same again changes nothing."""
    assert AllowList(["cn:a", "any", "cn:a"]) == AllowList(["any", "cn:a"])
    assert hash(AllowList(["cn:a", "any"])) == hash(AllowList(["any", "cn:a"]))
    assert AllowList(["cn:a"]) != AllowList(["cn:b"]) and AllowList([]) != []


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "is a SPIFFE ID such as"),
        ("web", "is a SPIFFE ID such as"),
        ("*", "is a SPIFFE ID such as"),
        (7, "is a SPIFFE ID such as"),
        ([], "is a SPIFFE ID such as"),
        ({"cn": "a"}, "is a SPIFFE ID such as"),
        ("cn:" + "x" * LONGEST_PATTERN, "is a SPIFFE ID such as"),
        ("spiffe://*/ns/web", "a trust domain, written out"),
        ("spiffe://", "a trust domain, written out"),
        ("spiffe://Prod/x", "a trust domain, written out"),
        ("spiffe://prod", "one whole segment"),
        ("spiffe://prod/", "one whole segment"),
        ("spiffe://prod/ns/web-*", "one whole segment"),
        ("spiffe://prod/**/web", "one whole segment"),
        ("spiffe://prod/../web", "one whole segment"),
        ("dns:", "a host's name"),
        ("dns:*", "a host's name"),
        ("dns:*.com", "a host's name"),
        ("dns:web.*.internal", "a host's name"),
        ("dns:w*.web.internal", "a host's name"),
        ("cn:", "a whole common name"),
        ("cn:a, b", "a whole common name"),
        ("cn:web*", "a whole common name"),
        ("cn:\x1b[2J", "a whole common name"),
    ],
)
def test_bad_pattern_is_one_clear_error(pattern: object, said: str) -> None:
    """It says what was given and what would be good; nothing is taken for something else than was meant."""
    with pytest.raises(ConfigError, match=said) as caught:
        AllowList([pattern])  # type: ignore[list-item]
    assert len(str(caught.value)) < 300 and "\x1b" not in str(caught.value)


def test_list_is_bounded_and_is_a_list() -> None:
    """A text in its place would be taken letter by letter."""
    AllowList([f"cn:{number}" for number in range(MOST_PATTERNS)])
    with pytest.raises(ConfigError, match="at most 100 patterns, got 101"):
        AllowList([f"cn:{number}" for number in range(MOST_PATTERNS + 1)])
    with pytest.raises(ConfigError, match="not one text"):
        AllowList("any")


def test_name_of_an_identity_is_no_pattern_for_many() -> None:
    """It is written as identities write it, so that it can be looked up."""
    for name in (WEB, "dns:web.internal", "cn:nightly report"):
        assert is_identity_name(name), name
    for name in ("any", "spiffe://prod/*", "dns:*.web.internal", "dns:Web", "web", "cn:", "", None, 7):
        assert not is_identity_name(name), name


def test_patterns_in_one_text_have_commas_between_them() -> None:
    """As in an IDL's annotation."""
    assert split_patterns("cn:nightly report,any , dns:a") == ["cn:nightly report", "any", "dns:a"]
    assert split_patterns("") == [""]


def test_caller_has_an_identity_beside_its_name() -> None:
    """The name is its own word, the identity is proven; nobody has one unless somebody verified it."""
    assert Caller("billing", "1").identity is None and Caller("billing", "1").shown == "billing"
    assert Caller("billing", "1", Identity(common_name="jobs")).shown == "cn:jobs"
    assert Caller("billing", "1", Identity(common_name="jobs")) != Caller("billing", "1")
