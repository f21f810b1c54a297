"""Who is there: membership through ZooKeeper. Imports nothing, so that the pure half stays importable alone.

The theory first, then the modules:

``schema`` says where things live in the tree, ``formats`` what a member's record looks like. Records are Twitter
ServerSet or Curator JSON, so that Finagle, Armeria and Spring Cloud see our services as they are. Everything read from
a znode is untrusted text: size, shape and range are checked, unknown keys ignored, a bad record left out and named in
the log.

It talks to ZooKeeper through the process's one session, :mod:`zkrpc.zookeeper`.

*Being there* is one desired state, "registered with this record" or "absent", compared with ZooKeeper again and again.
``registration`` is the machine that decides, ``registrar`` the greenlet that obeys. Nothing is assumed from the success
or failure of a write: after each one the node is read again, so a lost reply, an expired session and a meddling
operator are all the same case. A node belongs to the session that ``ephemeralOwner`` names, never to whoever knows its
name. A node of our own earlier session (same worker id, same launch id) is replaced in one transaction; anybody else's
is reported and left alone. With each node comes a mark of a name of its own, so that others can tell it from the one
that was there before.

*Seeing who is there* is a list that only gets newer. ``view`` is the machine, ``resolver`` the greenlet, ``listing``
says what has changed. A watch says only "look again"; the first change is read at once, a burst is collected, and the
list is read again after every reconnect and once a minute, because ZooKeeper watches are one-shot and die with the
connection. Of a thousand members only those are read that are new or have another mark. Losing ZooKeeper takes nothing
away: the last list stays, and ``snapshot_file`` keeps it on disk for a start while ZooKeeper is down.

``primaries`` follows who leads a group, for those who ask. It is a short cut for callers and nothing that safety rests
on: who leads is for the election to decide, and for the instances to say. ``config_watch`` follows in the same manner
what operators want of the service's clients, as ``service_config`` reads it. Both are a
:class:`~zkrpc.zookeeper.node_watch.NodeWatch`.

===================================================  ===================================================================
``schema``, ``formats``, ``advertising``             paths, records, and which address an instance registers
``registration``, ``registrar``                      being there: the machine, and the greenlet that obeys
``view``, ``listing``, ``resolver``                  seeing who is there: the machine, what has changed between two
                                                     lists, the greenlet
``snapshot_file``, ``keeper``                        the list on disk, whatever becomes of the disk
``primaries``, ``config_watch``, ``service_config``  following single nodes: who leads, and what operators want of
                                                     clients
``removal``                                          taking away what a service that is over has left
===================================================  ===================================================================
"""
