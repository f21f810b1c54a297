"""The launcher: ``zkrpc`` and ``python -m zkrpc``.

It patches the standard library for gevent before anything else is imported, because a service's own modules (database
drivers, HTTP clients) must find it patched. The library itself never patches. The supervisor stays unpatched, as it
starts processes and waits for them. A container's probe, ``zkrpc health --address``, needs none of all this, and does
without.
"""

from __future__ import annotations

import sys

_UNPATCHED = ("serve", "dev")


def main() -> None:
    """Runs the command line."""
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    if command == "health" and sys.argv[1] == "health":
        from zkrpc.cli.probe import main as probe

        status = probe(sys.argv[2:])
        if status is not None:
            sys.exit(status)
    if command not in _UNPATCHED:
        from gevent import monkey

        monkey.patch_all()
    from zkrpc.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
