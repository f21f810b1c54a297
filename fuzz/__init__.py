"""Fuzzing: bytes that chance has spoilt, for everything that reads what others wrote.

* ``mutation``: what chance does to a seed; ``corpus``: the seeds, which are real messages, records and files;
* ``wire_targets``, ``server_target``, ``tls_target``, ``text_targets``: what is fed with them, and what must hold then;
  ``targets``: all of them, and how much each gets;
* ``campaign``: feeds so many inputs, with a bound on the time of each and on memory; ``__main__``: the command;
* ``leaks``: whether the compiled parts give back all that they take, by doing again and again what is in
  ``leak_workloads``;
* ``guided``: the same targets for atheris, where it is installed, which looks for inputs that reach new code.
"""
