"""The admin door: how a process is and what it does, over HTTP, for probes, Prometheus and people.

===============  =======================================================================================================
``http``         requests in and answers out: a machine for what little of HTTP the door speaks
``guard``        who may ask
``pages``        what is answered under which path
``door``         the door of a process with a hub
``thread_door``  the door of a process without one: the supervisor's
``workers``      one page made of those of all workers
===============  =======================================================================================================

The door is not for hostile networks, and is made so that one may stand on them by mistake. It listens on loopback; at
any other address it wants a token, and does not start without one. A request is GET or HEAD, has no body, is read
within a few seconds into a few KiB, and ends its connection; there are few connections, which are none of the service's
own. What a browser sends for a page from elsewhere is refused: a foreign ``Origin``, and, as names can be made to mean
this host (DNS rebinding), any ``Host`` that is a name not known here.

HTTP is read by a machine of our own and not by gevent's server, whose author advises against it where security matters,
and which has no limits of its own: it is all of hundred lines, and the supervisor, which has no gevent, uses it too.
"""
