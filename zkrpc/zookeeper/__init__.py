"""A ZooKeeper client with bounded waits. Imports nothing, so that the pure modules can be imported without gevent and
kazoo.

Membership, elections and supervisors use it, through ``session`` only: behind it ``link`` wraps one kazoo client, which
is replaced by a new one when it fails for good. Each request returns an answer or raises, within a bounded time, and
the exception tells whether the outcome is unknown; a watch does nothing but set an event. After each new connection
every follower of a node reads it again, because ZooKeeper's watches are lost with the connection, those that stay as
well as the one-shot ones.

If ZooKeeper has lost its data, its servers close the connections of our session and never end it; ``health`` decides
when to begin another one.

=======================  ==========================================================================
``session``, ``znodes``  the process's session, and the znodes that are read and written through it
``operations``           plain values: states, stats, and the steps of a transaction
``access``,              who we are, and whom access lists let do what; whose the nodes are that we make
``ownership``
``link``, ``handler``    one kazoo client, and how it dials
``ensemble``             which servers there are, by the connect string and by ZooKeeper's configuration
``node_watch``           follows one node, for any number of followers
``subtrees``,            watches that stay and name what has changed: whom to ask for them and what they have told, and
``subtree_watching``     the requests
``diagnosis``            what is wrong while there is no connection
``health``               how often that is logged, and when the session is given up
``authentication``,      showing a server who we are, after its greeting; TLS, with certificates and names checked
``encryption``
``refusals``             what ZooKeeper's refusals mean
``handshake``            opening and closing a session at one server, without kazoo
``closing``              ends the session of a process that has died
=======================  ==========================================================================
"""
