"""Membership through ZooKeeper: registering instances, and following who is registered. Imports nothing, so that the
pure modules can be imported without gevent and kazoo.

The theory first, then the modules:

``schema`` has the paths in the tree, ``formats`` the formats of records. Records are Twitter ServerSet or Curator JSON,
so that Finagle, Armeria and Spring Cloud can use our services without changes. Everything read from a znode is
untrusted text: size, shape and range are checked, unknown keys ignored, a bad record left out and named in the log.

All requests to ZooKeeper go through the process's one session, :mod:`zkrpc.zookeeper`.

*Registering* means to compare one desired state, "registered with this record" or "absent", with ZooKeeper again and
again. ``registration`` is the state machine that decides, ``registrar`` the greenlet that carries out its effects.
Nothing is assumed from the success or failure of a write: after each one the node is read again, so a lost reply, an
expired session and an operator's change are all the same case. A node belongs to the session in its ``ephemeralOwner``,
whatever its name. A node of our own earlier session (same worker id, same launch id) is replaced in one transaction;
any other is reported and left alone. With each node a mark with a unique name is created, by which clients can tell the
node from an earlier one of the same name.

*Following the members* gives a list that never goes back to an older one. ``view`` is the state machine, ``resolver``
the greenlet, ``listing`` finds out what has changed. Where the server knows watches that stay, they say which members
are to be read again; a one-shot watch only says that the list is. The first change is read at once, a burst is
collected, and the list is read again after every reconnect and once a minute, because all of ZooKeeper's watches are
lost with the connection. Of a thousand members only those are read that are new or have another mark. While ZooKeeper
cannot be reached the last list stays, and ``snapshot_file`` keeps it on disk for a start while ZooKeeper is down.

*Trees of other libraries* (``foreign``) are lists elsewhere, of ServerSets or of Curator. ``joining`` keeps an
instance's entries there, with a registrar for each. Others change records in
their nodes and keep weights beside them (``weights``), so that there values are watched as well. ``roster`` holds what
was read of any list.

``primaries`` follows which instance is a group's primary. Safety does not depend on it: it saves callers a redirect,
while the election and the instances themselves decide which one serves. ``config_watch`` follows the service config in
the same manner, and ``service_config`` parses it. Both use a :class:`~zkrpc.zookeeper.node_watch.NodeWatch`.

*The IDL* of an instance is published under its digest, so that tools know a service's methods without its files.
``publication`` is the state machine, ``publisher`` the greenlet, ``published`` reads. ``gate`` keeps an instance out
whose IDL breaks what is served.

===================================================  ===================================================================
``schema``, ``formats``, ``untrusted``               paths, records, and the parts of what others wrote
``advertising``                                      which address an instance registers
``registration``, ``registrar``                      registering: the state machine, and the greenlet
``view``, ``listing``, ``roster``, ``resolver``      following the members: the state machine, what has changed
                                                     between two lists, what was read, the greenlet
``foreign``, ``weights``, ``joining``                where other libraries keep members, what they weigh, and being one
``snapshot_file``, ``keeper``                        the list on disk, and what is done while the disk fails
``primaries``, ``config_watch``, ``service_config``  following single nodes: a group's primary, and the service config
``config_history``, ``config_store``                 the versions of a service config, and how they are read and written
``offline``, ``orders``, ``rotation``, ``rotator``   being taken out of service by operators: the order, how it is
                                                     given, the state machine, the shell around it and two registrars
``publication``, ``publisher``, ``published``        the texts of IDLs: the state machine, the greenlet, and reading
                                                     them
``quotas``                                           what a service's callers may do, as the part of one instance
``gate``                                             whether an IDL may be served beside what is served already
``removal``                                          deleting the nodes that a retired service has left
===================================================  ===================================================================
"""
