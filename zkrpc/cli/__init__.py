"""The command line: one module per noun, and the only place that reads settings from the environment.

Errors are one line that says what to do next, on standard error, or one object on standard output with ``--json``. Exit
status: 0 done, 1 it failed, 2 the command line is wrong, 78 the settings or the service's code are wrong and trying
again cannot help. What is written passes through :mod:`zkrpc.cli.output`.
"""
