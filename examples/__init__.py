"""Runnable services that use only the public API; run them from the repository's top folder."""
