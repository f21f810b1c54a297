"""Tests of zkrpc.metrics."""
