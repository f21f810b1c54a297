"""Thrift values to JSON and back, exactly: by the IDL, which says what each text, number, array and object stands for.

``docs/json.md`` has the mapping. Theory of operation: a value takes two steps each way, and the steps meet in *plain*
values, which are what ``json`` of Python's library takes and gives.

- :mod:`~zkrpc.jsonform.text` turns JSON text into plain values and back, with bounds on size and depth; it refuses what
  JSON does not define (``NaN``, a name twice in one object) and keeps what Python's parser loses (``-0`` of a double).
- :mod:`~zkrpc.jsonform.reading` turns plain values into those of the IDL's types. Whatever does not fit is a
  :class:`~zkrpc.errors.JsonError` that names the place and what was expected there.
- :mod:`~zkrpc.jsonform.writing` turns values of the IDL's types into plain ones. What is inside a value is taken from
  the IDL and not from the object, so finding that a value does not fit its type is left to the codec.
- :mod:`~zkrpc.jsonform.excerpt` does the same within a bound of size, and masks what the IDL or the service masks.
- :mod:`~zkrpc.jsonform.template` makes a plain value to fill in, and the command that sends it.

All of it is pure. Commands and pages use it to show and to take values; the wire never carries JSON.
"""

from zkrpc.jsonform.excerpt import Excerpt, excerpt, excerpt_arguments, excerpt_exception
from zkrpc.jsonform.reading import read, read_arguments
from zkrpc.jsonform.template import command_line, template, template_of
from zkrpc.jsonform.text import MAX_DEPTH, MAX_SIZE, dump, parse
from zkrpc.jsonform.writing import write, write_arguments, write_exception

__all__ = [
    "Excerpt",
    "MAX_DEPTH",
    "MAX_SIZE",
    "command_line",
    "dump",
    "excerpt",
    "excerpt_arguments",
    "excerpt_exception",
    "parse",
    "read",
    "read_arguments",
    "template",
    "template_of",
    "write",
    "write_arguments",
    "write_exception",
]
