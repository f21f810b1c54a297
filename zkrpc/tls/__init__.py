"""TLS between a socket and a wire machine: both ends of a connection, and nothing of what is said on it.

A connection is either plain or it is not, which is settled once, when its socket is made: a :class:`~zkrpc.tls.stream.
TlsSocket` looks to a connection as a plain socket does, and brings watchers of its own, so that the code that moves
bytes is the same for both, and a plain connection pays nothing. Inside, OpenSSL sees memory only (``ssl.MemoryBIO``):
:class:`~zkrpc.tls.layer.TlsLayer` is a machine without I/O, whose bytes the shell moves.

================  ====================================================================================================
``settings``      the values that say how a server and a client do it; pure
``layer``         one end of one connection, from the handshake to the end; pure
``stream``        a socket with a layer in it, and its watchers
``contexts``      what OpenSSL has to know, made from the files that a config names
``reloading``     when to read these files again, and when to raise the alarm about what is in them; pure
``source``        the context for new connections, which follows its files
``validity``      when certificates end, read from their bytes; pure
``pending``       the handshakes that have not ended: how many there may be, of whom, and for how long; pure
``steps``         which of them goes on next, and what one address may have of the server's time; pure
================  ====================================================================================================

The server's handshakes are run by :mod:`zkrpc.server.handshakes`, the client's by :mod:`zkrpc.client.secured`.
"""
