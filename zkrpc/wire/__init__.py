"""The wire: byte machines that turn a stream into calls and replies, and back. No sockets, no clock, no structs.

One port serves every *dialect*: THeader with binary or compact inside, plain frames (a length and a message), and
messages without frames, in binary (with a version or without) and compact, all of them in a zlib stream too. The first
bytes tell; a reply repeats its request's dialect, flags and ids. The connection is closed if HTTP, TLS or the like
arrives, and ``failure`` names it.

Replies are matched to calls by the *message* sequence id; some clients always send 0 as THeader's own. Between zkrpc
peers ids are unique, so replies leave in the order of completion. A foreign client may use one id for all its calls and
then takes replies in order: requests that share an id run one after another.

Control messages are ONEWAY messages named ``zkrpc:...`` with an empty struct, sent only to peers that are known to
understand them. A client that no longer wants an answer sends ``cancel``, and either side may ask for a sign of life
with ``ping``. A drain takes one message from each side, so that no call is lost between the server's last read and its
close::

    client                                server
      | -- hello ------------------------> |   I understand control messages; how large my messages may be
      | <----------------------- hello --- |   the same
      | -- calls ------------------------> |
      | <------------------- draining ---- |   send no more calls here
      | -- draining ---------------------> |   none will come
      | <-------------- the last reply --- |   nothing in flight, nothing to come: close

What a peer may cost is bounded by :class:`~zkrpc.config.WireLimits`: memory is allocated for bytes that came, never for
a length that was claimed; one frame may be incomplete, for a bounded time; calls in flight are counted. An error inside
a well-framed message is answered and the connection goes on; bytes that cannot be framed, and messages without frames
whose end is not found, end it.

========================  =====================================================================================
``detection``             what a connection speaks, told from its first bytes; what is not spoken, by its name
``prelude``               the beginning of a connection, and its zlib stream if it is in one
``inflow``                what comes, up to its messages: the incomplete one, and how long it may take
``inflation``             what deflated bytes may become
``frames``                where frames begin and end
``unframed``              where messages without frames begin and end
``varint``                integers of variable length
``theader``, ``headers``  header blocks and transforms, and the metadata keys both sides agree on
``envelope``              kind, name and id, in binary and compact
``message``               one message in any dialect; the shapes that make the common case fast
``fast_path``             messages that look like earlier ones, and what is learnt of them
``taking``                the loops that take those without parsing them, in Python or in C (``_compiled.c``)
``calls``, ``answers``    what precedes a call's body, remembered by name and budget; what precedes an answer's
``status``                how an error travels: what a failure says, and the error that a caller makes of it
``held``                  requests that share an id, one after another
``early``                 deadlines that come before those of calls sent earlier
``leaving``               which calls have left when a socket took only a part
``hello``                 how large a message each side takes, told at the beginning
``keepalive``             whether a silent peer is still there
``cores``                 what every call goes through in the two machines, in Python or in C
``server``, ``client``    the two machines
========================  =====================================================================================
"""
