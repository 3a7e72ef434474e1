"""An unmodified JupyterHub answers the table of requests.

    answers.py DATABASE < CALLS

CALLS is a list of {who, method, path, body}. On standard output: the answers
{status, type, location, body}, in the same order, and the series of /hub/metrics. The database stays behind. Servers are real to
the hub: each has a port in this process that answers everything.
"""

import asyncio
import datetime
import json
import os
import socket
import sys

import tornado.web
from jupyterhub import orm, roles
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from prometheus_client import REGISTRY
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from traitlets.config import Config

# The same people as on the other side.
PEOPLE = {"alice": ["lab"], "bob": ["lab"], "root_": ["lab"], "carol": []}
# Whose token, and what it may do.
CALLERS = {
    "alice": ("alice", ["inherit"]),
    "bob": ("bob", ["inherit"]),
    "admin": ("root_", ["inherit"]),
    "narrow": ("alice", ["read:users:name!user"]),
    "server": ("alice", ["users:activity!user=alice", "access:servers!server=alice/"]),
    "reader": ("root_", ["list:users", "read:users", "read:servers", "list:groups", "read:groups", "read:hub"]),
    "tutor": ("root_", ["list:users!group=lab", "read:users!group=lab", "servers!group=lab", "tokens!group=lab"]),
    "culler": ("root_", ["list:users", "read:users:activity", "read:servers", "delete:servers"]),
    "expired": ("alice", ["inherit"]),
}


class Anything(tornado.web.RequestHandler):
    def get(self):
        self.write("{}")


class Here(Spawner):
    listening = None

    async def start(self):
        self.listening = tornado.web.Application([(".*", Anything)]).listen(0, "127.0.0.1")
        port = next(iter(self.listening._sockets.values())).getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def stop(self, now=False):
        if self.listening:
            self.listening.stop()
        self.listening = None

    async def poll(self):
        return None if self.listening else 0


class Table(Proxy):
    should_start = False
    routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self.routes)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def begin(database):
    config = Config()
    config.JupyterHub.log_level = "WARN"
    config.JupyterHub.db_url = f"sqlite:///{database}"
    config.JupyterHub.cookie_secret = os.urandom(32)
    config.JupyterHub.hub_bind_url = f"http://127.0.0.1:{free_port()}"
    config.JupyterHub.authenticator_class = "dummy"
    config.JupyterHub.spawner_class, config.JupyterHub.proxy_class = Here, Table
    config.JupyterHub.allow_named_servers = True
    config.Authenticator.allow_all = True
    config.DummyAuthenticator.password = "correct horse"
    config.JupyterHub.public_url = "http://127.0.0.1:8000"
    config.Here.poll_interval = 86400
    # On a busy machine, too, a start is waited for.
    config.JupyterHub.tornado_settings = {"slow_spawn_timeout": 600, "slow_stop_timeout": 600}
    config.Here.start_timeout = config.Here.http_timeout = 600
    hub = JupyterHub(config=config)
    await hub.initialize([])
    await hub.start()
    return hub


def mint(hub):
    tokens = {}
    for name, groups in PEOPLE.items():
        user = new_user(hub, name)
        for group in groups:
            found = orm.Group.find(hub.db, group)
            if found is None:
                found = orm.Group(name=group)
                hub.db.add(found)
            found.users.append(user)
    hub.db.commit()
    for caller, (name, scopes) in CALLERS.items():
        tokens[caller] = hub.users[name].new_api_token(note=f"for {caller}", scopes=scopes)
    past = orm.utcnow(with_tz=False) - datetime.timedelta(days=1)
    orm.APIToken.find(hub.db, tokens["expired"]).expires_at = past
    hub.db.commit()
    return tokens | {"bad": "0123456789abcdef0123456789abcdef"}


def new_user(hub, name):
    user = orm.User(name=name, admin=name == "root_")
    hub.db.add(user)
    roles.assign_default_roles(hub.db, user)
    return user


def series():
    """Its own series, as their registry describes them: those without a value yet are not shown."""
    found = []
    for collector in set(REGISTRY._collector_to_names):
        described = collector.describe() if hasattr(collector, "describe") else []
        for one in described:
            if not one.name.startswith("jupyterhub_"):
                continue
            found.append(
                {
                    "name": one.name + ("_total" if one.type == "counter" else ""),
                    "type": one.type,
                    "labels": list(getattr(collector, "_labelnames", [])),
                    "bounds": [
                        str(bound).replace("inf", "+Inf") for bound in getattr(collector, "_upper_bounds", [])
                    ],
                }
            )
    return found


async def main():
    calls = json.load(sys.stdin)
    hub = await begin(sys.argv[1])
    tokens = mint(hub)
    client = AsyncHTTPClient()
    # It may be asked to shut down, and is to answer nevertheless.
    asyncio.get_running_loop().stop = lambda: None
    answers = []
    for call in calls:
        headers = {}
        if call["who"] != "nobody":
            headers["Authorization"] = "token " + tokens[call["who"]]
        if call["pages"]:
            headers["Accept"] = "application/jupyterhub-pagination+json"
        if call["body"]:
            headers["Content-Type"] = "application/json"
        request = HTTPRequest(
            hub.hub.bind_url.rstrip("/").removesuffix("/hub") + call["path"],
            method=call["method"],
            headers=headers,
            body=call["body"] if call["body"] or call["method"] in ("POST", "PUT", "PATCH") else None,
            follow_redirects=False,
            allow_nonstandard_methods=True,
            request_timeout=60,
        )
        answer = await client.fetch(request, raise_error=False)
        answers.append(
            {
                "status": answer.code,
                "type": answer.headers.get("Content-Type", "").split(";")[0],
                "location": answer.headers.get("Location", ""),
                "body": answer.body.decode(errors="replace"),
            }
        )
    hub.db.commit()
    json.dump({"answers": answers, "tokens": tokens, "series": series()}, sys.stdout)
    sys.stdout.flush()
    # Its servers and its files end with the process.
    os._exit(0)


asyncio.run(main())
