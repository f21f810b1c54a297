"""Fault suites: real processes, a real ZooKeeper, load that never stops, and things that die.

Run one with ``scripts/faults SUITE``; each prints its figures by the contract of ``scripts/report.py``.
"""

import sys

from gevent import monkey

_PLAIN = {"faults.callers", "faults.worlds_program"}
"""Programs of suites whose threads are threads."""

# First of all, so that starting a process or waiting for one does not hold up the load. Under pytest there is none, and
# the tests of everything else want the standard library as it is.
if "pytest" not in sys.modules and not _PLAIN.intersection(sys.orig_argv):
    monkey.patch_all()
