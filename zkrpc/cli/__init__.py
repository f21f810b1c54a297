"""The command line: one module per noun, and the only place that reads settings from the environment.

An error is one line on standard error that says what to do next, or, with ``--json``, one object on standard output.
The exit status is 0 if the command did its work, 1 if it failed, 2 if the command line is wrong, and 78 if the settings
or the service's code are wrong and trying again cannot help. All output passes through :mod:`zkrpc.cli.output`.
"""
