"""A Django project in one file that calls the users service. In a project of more files, ``users`` stands in a module
of its own that views import.

ZKRPC_ZOOKEEPER=HOSTS gunicorn -w 4 -k gthread --threads 8 examples.django_app:application
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

import zkrpc
from idl import users_thrift as idl

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=os.environ.get("SECRET_KEY", "an example"))
users = zkrpc.threads.connect(idl.Users, "users", zookeeper=os.environ["ZKRPC_ZOOKEEPER"])


def user(request, id):
    try:
        found = users.options(timeout=1).get(id)
    except idl.UserNotFound:
        return JsonResponse({"detail": f"there is no user {id}"}, status=404)
    except zkrpc.CallError as error:
        return JsonResponse({"detail": str(error)}, status=503)
    return JsonResponse({"name": found.name, "process": os.getpid()})


urlpatterns = [path("users/<int:id>", user)]
application = get_wsgi_application()
