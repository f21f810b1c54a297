"""The compiled parts: one extension for each ``_compiled.c``. Everything else about the package is in setup.cfg.

ZKRPC_PURE says the same as when zkrpc is imported: 1 leaves them out, 0 insists on them; without it they are left out
where they cannot be compiled, silently.
"""

import os
import re
import zlib
from pathlib import Path

from setuptools import Extension, setup

PURE = os.environ.get("ZKRPC_PURE", "")
[VERSION] = re.findall(r'^__version__ = "(.+)"$', Path("zkrpc/__init__.py").read_text("utf-8"), re.MULTILINE)


def extension(source: Path) -> Extension:
    """How one is built: with the name of what it was built from, by which ``zkrpc.compiled`` knows it."""
    built_from = f"{VERSION} {zlib.crc32(source.read_bytes()):08x}"
    macros = [("BUILT_FROM", f'"{built_from}"')]
    name = ".".join(source.with_suffix("").parts)
    return Extension(name, [str(source)], define_macros=macros, optional=PURE != "0")


sources = [] if PURE == "1" else sorted(Path("zkrpc").glob("*/_compiled.c"))
# Compiling takes seconds, and what looks new enough by its date may have been built from something else.
setup(ext_modules=[extension(source) for source in sources], options={"build_ext": {"force": True}})
