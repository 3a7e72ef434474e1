"""An unmodified JupyterHub on berth-proxy: login, spawn, a websocket to a kernel, culling by the
activity of the route. Beside it JupyterHub's own tests, which `run` takes from its wheel."""

import asyncio
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import time
import uuid

import aiohttp
import pytest

HERE = pathlib.Path(__file__).parent
# A start that takes longer than this will never come to be.
PATIENCE = 180
# What the culler calls idle, in seconds.
IDLE = 6


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def until(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if await condition():
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"never: {what}")


class Site:
    def __init__(self, folder):
        front, api, hub = free_ports(3)
        self.url, self.token = f"http://127.0.0.1:{front}", secrets.token_hex(16)
        self.api = {"Authorization": f"token {self.token}"}
        environment = dict(
            os.environ,
            TEST_BIND_URL=self.url,
            TEST_PROXY_API_URL=f"http://127.0.0.1:{api}",
            TEST_HUB_URL=f"http://127.0.0.1:{hub}",
            TEST_TOKEN=self.token,
        )
        self.log = open(folder / "jupyterhub.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "jupyterhub_config.py")],
            cwd=folder,
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def end(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.end()
    site.log.seek(0)
    print(site.log.read())


async def log_in(session, site, name):
    async with session.get(f"{site.url}/hub/login") as answer:
        assert answer.status == 200
    xsrf = next(c.value for c in session.cookie_jar if c.key == "_xsrf" and c["path"] == "/hub/")
    form = {"username": name, "password": "x", "_xsrf": xsrf}
    async with session.post(f"{site.url}/hub/login", data=form) as answer:
        assert answer.status == 200, await answer.text()
        return xsrf


async def execute(socket, code):
    message = str(uuid.uuid4())
    header = {"msg_id": message, "msg_type": "execute_request", "username": "", "session": message, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    await socket.send_json({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"})
    text = ""
    while True:
        got = json.loads((await socket.receive(timeout=PATIENCE)).data)
        if got["parent_header"].get("msg_id") != message:
            continue
        if got["msg_type"] == "stream":
            text += got["content"]["text"]
        if got["msg_type"] == "execute_reply":
            assert got["content"]["status"] == "ok", got
        if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
            return text


async def test_a_day_on_an_unmodified_jupyterhub(site):
    async def up():
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{site.url}/hub/health") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            assert site.process.poll() is None, "JupyterHub has ended"
            return False

    await until(up, "JupyterHub answers through the proxy")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await log_in(session, site, "alice")
        # Following redirects: the spawn, its waiting page, OAuth, the server.
        async with session.get(f"{site.url}/hub/spawn") as answer:
            assert answer.status == 200

        # A page, as a browser asks for it: its redirects are the login at the server by OAuth.
        async def answers():
            async with session.get(f"{site.url}/user/alice/lab") as answer:
                return answer.status == 200 and "jupyter-config-data" in await answer.text()

        await until(answers, "alice's JupyterLab answers through the proxy")
        async with session.get(f"{site.url}/user/alice/api/status") as answer:
            assert answer.status == 200 and "started" in await answer.json()

        # A kernel, by a token as programs do it.
        async with session.post(f"{site.url}/hub/api/users/alice/tokens", headers=site.api) as answer:
            assert answer.status == 201, await answer.text()
            token = {"Authorization": f"token {(await answer.json())['token']}"}
        async with session.post(f"{site.url}/user/alice/api/kernels", headers=token) as answer:
            assert answer.status == 201, await answer.text()
            kernel = (await answer.json())["id"]
        channels = f"{site.url}/user/alice/api/kernels/{kernel}/channels"
        async with session.ws_connect(channels, headers=token) as socket:
            assert await execute(socket, "print(6 * 7)") == "42\n"

            # The culler, with a patience of seconds, looks at what the proxy saw.
            culler = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE}", "--cull-every=1", f"--url={site.url}/hub/api"],
                env=dict(os.environ, JUPYTERHUB_API_TOKEN=site.token),
            )
            try:
                # For three times the culler's patience a busy websocket keeps the server.
                end = time.monotonic() + 3 * IDLE
                while time.monotonic() < end:
                    assert await execute(socket, "print(1)") == "1\n"
                    await asyncio.sleep(0.5)
                async with session.get(f"{site.url}/hub/api/users/alice", headers=site.api) as answer:
                    assert (await answer.json())["server"] == "/user/alice/"
                await socket.close()

                # Left alone it goes.
                async def culled():
                    async with session.get(f"{site.url}/hub/api/users/alice", headers=site.api) as answer:
                        return (await answer.json())["server"] is None

                await until(culled, "the idle server is culled")
                async with session.get(f"{site.url}/user/alice/api/status", allow_redirects=False) as answer:
                    # The route is gone: the hub answers.
                    assert answer.status in (302, 424, 503), answer.status
            finally:
                culler.terminate()
                culler.wait(30)
