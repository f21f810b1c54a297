"""The launcher: ``zkrpc`` and ``python -m zkrpc``.

It patches the standard library for gevent before anything else is imported, because a service's own modules (database
drivers, HTTP clients) must find it patched. The library itself never patches. The supervisor stays unpatched, as it
starts processes and waits for them. A container's probe, ``zkrpc health --address``, needs none of all this, and does
without.
"""

from __future__ import annotations

import os
import sys

_UNPATCHED = ("serve", "dev")
_WITH_VALUES = ("--log-level", "--log-format")
"""The options before a command that are followed by a value."""


def main() -> None:
    """Runs the command line."""
    command = _command(sys.argv[1:])
    if command == "health" and sys.argv[1] == "health":
        from zkrpc.cli.probe import main as probe

        status = probe(sys.argv[2:])
        if status is not None:
            sys.exit(status)
    if command not in _UNPATCHED:
        from gevent import get_hub, monkey

        monkey.patch_all()
        # Ctrl-C while a command waits ends it; gevent would print that as an error, too.
        get_hub().NOT_ERROR += (KeyboardInterrupt,)
    from zkrpc.rpc_error import ConfigError

    try:
        from zkrpc.cli.main import main as run
    except ConfigError as error:  # of the compiled parts, which are looked for while what uses them is imported
        from zkrpc.cli.output import tell_error

        tell_error(error, os.EX_CONFIG, as_json="--json" in sys.argv[1:])
        sys.exit(os.EX_CONFIG)
    run()


def _command(arguments: list[str]) -> str:
    """The command's name, behind the options that may stand before it; empty if there is none."""
    before = ""
    for argument in arguments:
        if not argument.startswith("-") and before not in _WITH_VALUES:
            return argument
        before = argument
    return ""


if __name__ == "__main__":
    main()
