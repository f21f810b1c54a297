"""Credentials for ZooKeeper: where they come from, what goes together, and that no secret is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import zkrpc
from zkrpc.credentials import FILE_VARIABLE, NO_SECURITY, SETTINGS, ZooKeeperSecurity, read_security, variable_of
from zkrpc.errors import ConfigError

ALL = ZooKeeperSecurity(
    username="svc",
    password="s3cret",
    mechanism="sasl",
    ca="ca.pem",
    certificate="own.pem",
    key="own.key",
    key_password="hush",
    server_name="zk.example",
    owners=("x509:CN=ops,O=Example",),
    users=("digest:bob:abc=",),
)


def test_nothing_said_is_nobody() -> None:
    """Without settings there are no credentials and no TLS."""
    assert read_security({}) == NO_SECURITY
    assert not NO_SECURITY.is_known
    assert not NO_SECURITY.uses_tls
    assert str(NO_SECURITY) == "nobody: there are no credentials"


def test_secrets_are_not_shown() -> None:
    """Neither the value's text nor its repr, nor that of what holds it, has a secret."""
    for text in (repr(ALL), str(ALL), repr(zkrpc.RegistryConfig(security=ALL))):
        assert "svc" in text
        assert "s3cret" not in text
        assert "hush" not in text
    assert str(ALL) == "sasl svc and the certificate in own.pem"


@pytest.mark.parametrize(
    ("given", "tls", "known"),
    [
        ({"tls": True}, True, False),
        ({"ca": "ca.pem"}, True, False),
        ({"server_name": "zk"}, True, False),
        ({"certificate": "own.pem"}, True, True),
        ({"username": "a", "password": "b"}, False, True),
    ],
)
def test_what_implies_what(given: dict[str, object], tls: bool, known: bool) -> None:
    """Files and names of TLS imply TLS; a name or a certificate makes us somebody."""
    security = ZooKeeperSecurity(**given)  # type: ignore[arg-type]
    assert (security.uses_tls, security.is_known) == (tls, known)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"username": "svc"}, "username and password go together"),
        ({"password": "x"}, "username and password go together"),
        ({"username": "", "password": "x"}, "must be a name without colons"),
        ({"username": "a:b", "password": "x"}, "must be a name without colons"),
        ({"mechanism": "kerberos"}, "mechanism must be one of digest, sasl, got 'kerberos'"),
        ({"mechanism": "sasl"}, "mechanism sasl shows ZooKeeper a username and a password"),
        ({"key": "own.key"}, "key belongs to a certificate"),
        (
            {"username": "a", "password": "b", "owners": ("ops",)},
            "'ops' is no identity of ZooKeeper; write SCHEME:NAME",
        ),
        ({"users": ("sasl:ops",)}, "owners and users need a username, or a certificate"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, object], message: str) -> None:
    """Each mistake has one error, which says what to do."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        ZooKeeperSecurity(**given)  # type: ignore[arg-type]


def test_variables_and_a_file_say_the_same(tmp_path: Path) -> None:
    """Each setting can stand in a variable, and in a file; paths in a file are meant from its folder."""
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "key-password").write_text("hush\n")
    texts = {
        "username": "svc",
        "password-file": str(tmp_path / "password"),
        "mechanism": "sasl",
        "tls": "yes",
        "ca": "ca.pem",
        "certificate": "own.pem",
        "key": "own.key",
        "key-password-file": str(tmp_path / "key-password"),
        "server-name": "zk.example",
        "owners": "x509:CN=ops,O=Example",
        "users": "digest:bob:abc=",
    }
    read = read_security({variable_of(name): text for name, text in texts.items()})
    assert read == ZooKeeperSecurity(**{**_fields(ALL), "tls": True})
    file = tmp_path / "security.toml"
    file.write_text(
        'username = "svc"\npassword-file = "password"\nmechanism = "sasl"\nca = "ca.pem"\ncertificate = "own.pem"\n'
        'key = "own.key"\nkey_password = "hush"\nserver-name = "zk.example"\ntls = false\n'
        'owners = ["x509:CN=ops,O=Example"]\nusers = ["digest:bob:abc="]\n'
    )
    beside = {name: str(tmp_path / getattr(ALL, name)) for name in ("ca", "certificate", "key")}
    assert read_security({FILE_VARIABLE: str(file)}) == ZooKeeperSecurity(**{**_fields(ALL), **beside})


def _fields(security: ZooKeeperSecurity) -> dict[str, object]:
    return {name: getattr(security, name) for name in security.__slots__}


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    """Also where the two say the same thing in different ways."""
    file = tmp_path / "security.toml"
    file.write_text('username = "svc"\npassword-file = "absent"\n')
    read = read_security({FILE_VARIABLE: str(file), variable_of("password"): "other", variable_of("username"): "me"})
    assert (read.username, read.password) == ("me", "other")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("username = ", "is no TOML"),
        ("#" * 70_000, "larger than 65536 bytes"),
        ('usernmae = "x"', "there is no setting 'usernmae'; did you mean username?"),
        ('xyz = "x"', "there is no setting 'xyz'; there are ca, certificate"),
        ("username = 5", "username must be a text"),
        ('tls = "perhaps"', "tls must be true or false"),
        ("owners = [5]", "owners must be a list of identities"),
        ("users = 5", "users must be a list of identities"),
        ('username = "a"\npassword-file = "absent"', "cannot read ZooKeeper's password from .*absent: No such file"),
        ('username = "a"\npassword-file = "empty"', "holds no password"),
        ('username = "a"\npassword-file = "binary"', "cannot read ZooKeeper's password from .*binary: no text"),
        ('username = "a"\npassword = "x"\npassword-file = "empty"', "password and password-file are two ways"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, content: str | None, message: str) -> None:
    """It names the file and the setting, and never shows a value."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    file = tmp_path / "security.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_security({FILE_VARIABLE: str(file)})


def test_the_page_has_each_setting() -> None:
    """docs/zookeeper-security.md lists the settings as they are here."""
    page = (Path(__file__).parent.parent / "docs/zookeeper-security.md").read_text()
    for name, meaning in SETTINGS.items():
        assert f"| `{name}` | `{variable_of(name)}` | {meaning} |" in page
