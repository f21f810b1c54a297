"""A web application on Flask that calls the users service; it connects when it is imported, in every kind of worker.

ZKRPC_ZOOKEEPER=HOSTS gunicorn -w 4 -k sync --preload examples.flask_app:app     (or -k gthread, or -k gevent)
"""

import os

from flask import Flask

import zkrpc
from idl import users_thrift as idl

app = Flask(__name__)
users = zkrpc.threads.connect(idl.Users, "users", zookeeper=os.environ["ZKRPC_ZOOKEEPER"])


@app.get("/users/<int:id>")
def user(id):
    return {"name": users.options(timeout=1).get(id).name, "process": os.getpid()}


@app.errorhandler(idl.UserNotFound)
def missing(error):
    return {"detail": f"there is no user {error.id}"}, 404


@app.errorhandler(zkrpc.CallError)
def unavailable(error):
    return {"detail": str(error)}, 503
