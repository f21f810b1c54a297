"""Tests of zkrpc.admin."""
