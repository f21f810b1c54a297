"""What may be larger or smaller than the house's sizes, or go without a test module of its own, and why.

A number here is a ceiling that only comes down: `shape.py` fails when the code is over it, and also when the exception
is no longer needed.
"""

from __future__ import annotations

LARGER: dict[str, tuple[int, str]] = {}
"""``package.module``, ``package.module:Class`` or ``package.module:function`` -> (ceiling, why)."""

SMALL_MODULES = 25
"""How many modules may have fewer than 40 code lines; ``shape.py`` lists them when there are more."""

UNTESTED: dict[str, str] = {
    "zkrpc.__main__": "tests/cli/test_main.py, as the command that it is",
    "zkrpc.app": "tests/live/test_app.py: it composes, and what it composes needs a real ZooKeeper",
    "zkrpc.coordination": "tests/live/test_app.py and test_processes.py: it owns what needs a real ZooKeeper",
    "zkrpc.dashboard.actions": "tests/live/test_dashboard.py, by the buttons of a browser",
    "zkrpc.dashboard.watcher": "tests/live/test_dashboard.py, on live services",
    "zkrpc.election.elections": "tests/live/test_primary.py: it composes, and its parts elect on a real server",
    "zkrpc.election.request_executor": "tests/live/test_campaign.py: every request is part of an election",
    "zkrpc.election.spread": "tests/live/test_primary.py, with sixteen groups on a real server",
    "zkrpc.election.inspection": "tests/cli/test_primary.py, as the command that shows it",
    "zkrpc.idl.outline": "tests/idl/test_parser.py: values, by what makes them",
    "zkrpc.zookeeper.node_watch": "tests/live/test_primaries.py and test_config_watch.py, by its two followers",
    "zkrpc.registry.registrar": "tests/live/test_registrar.py, on a real server",
    "zkrpc.registry.removal": "tests/cli/test_rm.py, as the command that removes, on a real server",
    "zkrpc.registry.resolver": "tests/live/test_resolver.py, on a real server",
    "zkrpc.zookeeper.session": "tests/live/test_session.py, on a real server through a failing network",
}
"""``package.module`` -> where it is tested instead, and why there."""
