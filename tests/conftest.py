"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# An example may take as long as the machine takes: that it stands still for a third of a second is no fault of the code
# under test, and Hypothesis' own deadline is 0.2 s. What has to be quick is asked by tests of its own.
settings.register_profile("zkrpc", deadline=None)
settings.load_profile("zkrpc")
