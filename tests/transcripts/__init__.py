"""Transcripts of the machines, one module a machine and one text a story."""
