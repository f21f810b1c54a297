"""One program for each language. All of them take the same words and say the same lines:

``client DIALECT=PORT ...`` makes every call of the cases to our server at 127.0.0.1, in one dialect after another, and
prints ``DIALECT<tab>CASE<tab>ok``, or in place of ``ok`` what was wrong; the case ``connection`` is only spoken of when
it was lost.

``server DIALECT ...`` serves each dialect on a port of its own: it prints ``DIALECT<tab>PORT`` for each and then
``ready``, and ends when its standard input does.
"""
