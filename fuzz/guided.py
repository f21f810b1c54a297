"""The targets for atheris, which watches what code an input reaches and goes on from those that reach more.

It needs ``pip install atheris`` and a Python for which there is one; nothing else here needs it.
"""

from __future__ import annotations

import gc
import random
import sys
from types import FunctionType

from fuzz.campaign import HANG, KEPT, keep
from fuzz.targets import targets
from zkrpc.errors import ConfigError

_LONGEST = 4096
_SEEDS = "guided-seeds"


def guided(name: str, inputs: int, seed: int) -> int:
    """So many inputs for one target. The process ends when they are used up, or with the first that goes wrong,
    which is kept.
    Raises ConfigError if there is no atheris."""
    try:
        import atheris
    except ImportError:
        raise ConfigError("there is no atheris here: .venv/bin/pip install atheris") from None
    with targets() as found:
        target = found[name]
        folder = KEPT / _SEEDS / name
        for data in target.seeds():
            keep(name, data, folder)

        def feed(data: bytes) -> None:
            try:
                target.run(data, random.Random(len(data)))
            except Exception:
                print(f"scripts/fuzz --replay {keep(name, data)}", file=sys.stderr)
                raise

        for function in [one for one in gc.get_objects() if isinstance(one, FunctionType)]:
            if (function.__module__ or "").startswith("zkrpc."):  # all there is would take minutes
                atheris.instrument_func(function)
        options = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={_LONGEST}", f"-timeout={HANG:g}"]
        atheris.Setup([sys.argv[0], *options, str(folder)], feed)
        atheris.Fuzz()
    return 0
