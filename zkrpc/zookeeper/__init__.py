"""A ZooKeeper client with bounded waits. Imports nothing, so that the pure half stays importable alone.

Membership, elections and supervisors use it. ``session`` is the only door: behind it ``link`` holds one kazoo client
from birth to death, and a new one follows when it has died. A session answers, or says that it does not know; no
request waits without a bound, and a watch does nothing but set an event. After each new connection whoever follows a
node reads it again, because ZooKeeper's watches are one-shot and die with the connection.

If ZooKeeper has lost its data, its servers hang up on our session and never end it; ``health`` decides when to begin
another one.

=======================  ==========================================================================
``session``, ``znodes``  the process's session, and the znodes that are read and written through it
``operations``           the values it speaks in: states, stats, and the steps of a transaction
``link``, ``handler``    one kazoo client, and how it dials
``node_watch``           follows one node for those who asked
``diagnosis``            what is wrong while there is no connection
``health``               how often that is said, and whether the session is worth keeping
``handshake``            opening and closing a session at one server, without kazoo
``closing``              ends the session of a process that has died
=======================  ==========================================================================
"""
