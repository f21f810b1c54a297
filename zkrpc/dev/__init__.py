"""A real, throw-away ZooKeeper on loopback, for development and tests.

A fake coordinator drifts from the real one in exactly the corners that matter (session expiry, lost replies, watches
over a reconnect), so everything here runs ZooKeeper itself: :mod:`zkrpc.dev.java` and :mod:`zkrpc.dev.jars` find Java
and ZooKeeper's jars, or say in one line what to install; :mod:`zkrpc.dev.zookeeper` runs one or three nodes and can
kill, freeze and restart each. Only the standard library is used, so that it works with and without gevent.
"""
