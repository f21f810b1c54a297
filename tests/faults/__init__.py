"""Fault suites: real processes, a real ZooKeeper, load that never stops, and things that die.

Run one with ``scripts/faults SUITE``; each prints its figures by the contract of ``scripts/report.py``.
"""

# First of all, so that starting a process or waiting for one does not hold up the load.
from gevent import monkey

monkey.patch_all()
