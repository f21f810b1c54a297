"""A small stateful service: counters in memory, for one worker that writes and answers a repeated request only once.

zkrpc serve examples.counter:service --zookeeper HOSTS --workers 1
"""

import zkrpc
from idl import counter_thrift as idl


class CounterHandler:
    def __init__(self):
        self.totals = {}
        self.answers = {}

    def add(self, key, amount, request_id):
        if request_id not in self.answers:
            self.totals[key] = self.answers[request_id] = self.totals.get(key, 0) + amount
        return self.answers[request_id]

    def get(self, key):
        if key not in self.totals:
            raise idl.UnknownCounter(key=key)
        return self.totals[key]

    def all(self):
        return self.totals


service = zkrpc.Service(idl.Counter, CounterHandler, name="counter")
