"""A web application on FastAPI that calls the users service: the lifespan connects once, for all requests.

ZKRPC_ZOOKEEPER=HOSTS uvicorn examples.fastapi_app:app
"""

import asyncio
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

import zkrpc
from idl import users_thrift as idl


@asynccontextmanager
async def lifespan(app):
    async with zkrpc.aio.connect(idl.Users, "users", zookeeper=os.environ["ZKRPC_ZOOKEEPER"]) as users:
        app.state.users = users
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/users/{id}")
async def user(id: int):
    try:
        async with asyncio.timeout(1):  # a call that is under way then is cancelled, at its server, too
            found = await app.state.users.get(id)
    except idl.UserNotFound:
        raise HTTPException(404, f"there is no user {id}") from None
    except (zkrpc.CallError, TimeoutError) as error:
        raise HTTPException(503, str(error)) from None
    return {"name": found.name, "process": os.getpid()}
