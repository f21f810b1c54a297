"""Tasks of Celery that call the users service; connected when imported, which each child of the prefork pool inherits.

ZKRPC_ZOOKEEPER=HOSTS CELERY_BROKER_URL=URL celery -A examples.celery_app worker --pool prefork
"""

import os

from celery import Celery

import zkrpc
from idl import users_thrift as idl

app = Celery("examples", backend=os.environ.get("CELERY_RESULT_BACKEND"))
users = zkrpc.threads.connect(idl.Users, "users", zookeeper=os.environ["ZKRPC_ZOOKEEPER"])


@app.task(autoretry_for=(zkrpc.Unavailable,), retry_backoff=True)
def greet(id):
    return {"greeting": f"Hello, {users.options(timeout=1).get(id).name}!", "process": os.getpid()}
