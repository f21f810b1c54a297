"""Calls the users service for as long as it runs, and says who answers: ``python -m examples.users_client HOSTS``.

HOSTS is ZooKeeper's connect string, ``$ZKRPC_ZOOKEEPER`` if not given.
"""

import os
import sys

import gevent

import zkrpc
from idl import users_thrift as idl


def main():
    hosts = sys.argv[1] if len(sys.argv) > 1 else os.environ["ZKRPC_ZOOKEEPER"]
    with zkrpc.connect(idl.Users, "users", zookeeper=hosts) as users:
        while True:
            try:
                print(users.get(42).name, "says", users.whoami(), flush=True)
            except zkrpc.CallError as error:
                print(error, flush=True)
            gevent.sleep(1)  # not time.sleep: the client's own work goes on meanwhile


if __name__ == "__main__":
    main()
