"""Runs the cells of a notebook in a kernel, as Jupyter does: ``python -m tests.support.notebook FILE``.

Prints the value of each cell that has one, and what it prints; ends with 1 at the first cell that raises.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager  # comes with ipykernel

_TIMEOUT = 90.0


def main(path: Path) -> int:
    """The exit status."""
    cells = json.loads(path.read_text())["cells"]
    manager = KernelManager(kernel_name="python3", transport="ipc")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_TIMEOUT)
        for cell in cells:
            if cell["cell_type"] == "code":
                told = client.execute_interactive("".join(cell["source"]), timeout=_TIMEOUT, output_hook=_tell)
                if told["content"]["status"] != "ok":
                    return 1
        return 0
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def _tell(message: dict[str, Any]) -> None:
    content = message["content"]
    if message["msg_type"] == "execute_result":
        print(content["data"]["text/plain"], flush=True)
    elif message["msg_type"] == "stream":
        print(content["text"], end="", flush=True)
    elif message["msg_type"] == "error":
        print("\n".join(content["traceback"]), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
