"""The interop matrix: stock libraries of other languages call our server, and our client calls theirs.

* ``matrix.thrift``: what is spoken of; ``cases``: each call, and what must come of it;
* ``table``: who takes part, in which dialects, and what that needs;
* ``peers``: one program for each language, which does the same cases as client and serves them as server;
* ``programs``: builds, starts, bounds and ends these programs; ``ours``: our server and our client;
* ``run``: the cells of the matrix; ``__main__``: the command.

``apache`` makes, from an IDL, what Apache's compiler would generate for Python.
"""
