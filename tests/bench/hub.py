"""Fills a hub and a JupyterHub with the same people and servers, and asks both the same.

What stands around them is the same for both, and does nothing: a proxy that remembers its routes, and
one address at which every notebook server answers."""

import datetime
import hashlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")
TOKEN = "a-token-for-the-benchmark-only"
HOSTS = 100
STARTS = 3


# What stands around a hub.

class Routes(http.server.BaseHTTPRequestHandler):
    """A proxy's API, in the words of configurable-http-proxy and in ours; any other path is a
    notebook server that answers."""

    protocol_version = "HTTP/1.1"
    table = {}

    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        status, reply = 200, {}
        if self.path.startswith("/api/berth/routes"):
            if self.command == "PUT":
                Routes.table = body["routes"]
            reply = {"unknown": [], "doubtful": [], "routes": Routes.table}
        elif self.path.startswith("/api/routes"):
            path = self.path[len("/api/routes"):].split("?")[0]
            if self.command == "GET":
                reply = Routes.table
            elif self.command == "POST":
                Routes.table[path or "/"] = body
                status, reply = 201, None
            else:
                Routes.table.pop(path, None)
                status, reply = 204, None
        text = b"" if reply is None else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def address_string(self):
        return "hub"

    def log_message(self, *_):
        pass


class Calm:
    """A hub that ends in the middle of a call is no news."""

    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_):
        pass


class OnSocket(Calm, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass


class OnPort(Calm, http.server.ThreadingHTTPServer):
    pass


def around(path, port):
    on_socket = OnSocket(path, Routes)
    threading.Thread(target=on_socket.serve_forever, daemon=True).start()
    OnPort(("127.0.0.1", port), Routes).serve_forever()


# The two.

def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Program:
    """A hub: how it is started and filled, and where it answers."""

    def __init__(self, folder):
        self.folder, self.port, self.around = folder, free_port(), free_port()
        self.process = None
        self.log = open(folder / "log", "ab")
        command = [sys.executable, __file__, "around", folder / "proxy.sock", str(self.around)]
        self.others = subprocess.Popen(command)

    def start(self):
        """Starts it; seconds until it serves."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command(), cwd=self.folder, stdout=self.log, stderr=self.log)
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/hub/api", timeout=60).close()
                return time.monotonic() - began
            except OSError:
                if self.process.poll() is not None or time.monotonic() - began > 300:
                    sys.exit(f"{self.name} did not start: {(self.folder / 'log').read_text()[-2000:]}")
                time.sleep(0.005)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def end(self):
        self.stop()
        self.others.kill()
        self.others.wait()

    def ticks(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ")[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def megabytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status).group(1)) / 1024

    def get(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/hub/api{path}")
        request.add_header("Authorization", f"token {TOKEN}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


class Berth(Program):
    name = "Berth"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        (folder / "config").mkdir()
        for name, text in {
            "hub.toml": f'''[hub]
public_url = "http://127.0.0.1:{self.port}"
listen = "127.0.0.1:{self.port}"
state = "{folder}/state"
admin_socket = "{folder}/admin.sock"
[agents]
listen = "127.0.0.1:0"
[proxy]
api = "unix:{folder}/proxy.sock"
''',
            "hosts.toml": f'[[host]]\nnames = "wn[001-{HOSTS:03}]"\npool = "cpu"\n',
            "pools.toml": "[pool.cpu]\n",
            "images.toml": '[image.base]\nref = "nb:1"\ntitle = "Base"\n',
            "profiles.toml": '''[profile.cpu]
title = "CPU"
pool = "cpu"
default = true
images = ["base"]
memory = { default = "4 GB", choices = ["4 GB"], max = "8 GB" }
''',
        }.items():
            (folder / "config" / name).write_text("version = 1\n" + text)

    def command(self):
        return [self.binary, "serve", "--config", self.folder / "config"]

    def fill(self, users, servers):
        self.start()
        self.stop()
        now = int(time.time() * 1e6)
        store = sqlite3.connect(next((self.folder / "state").rglob("*.db")))
        rows = [(name(n), 10_000 + n, 10_000 + n, f"/home/{name(n)}", '[{"name":"lab","gid":5000}]', n == 0, "", now, now) for n in range(users)]
        columns = "(name, uid, gid, home, groups, admin, password, created, last_activity)"
        store.executemany(f"INSERT INTO users {columns} VALUES (?,?,?,?,?,?,?,?,?)", rows)
        store.execute(
            "INSERT INTO tokens (hash, kind, user, client, scopes, note, created) VALUES (?, 'api', ?, 'JupyterHub', '[\"inherit\"]', 'bench', ?)",
            (hashlib.sha256(TOKEN.encode()).digest(), name(0), now))
        for n in range(servers):
            host = f"wn{n % HOSTS + 1:03}"
            account = {"name": name(n), "uid": 10_000 + n, "gid": 10_000 + n, "groups": [], "home": f"/home/{name(n)}"}
            server = {
                "id": f"{n:016x}", "owner": name(n), "name": "", "generation": 1, "user_options": "{}",
                "ask": {"profile": "cpu", "memory": 4 << 30, "image": "base"}, "account": account, "decision": None,
                "created": now, "last_activity": now, "last_end": None,
                "phase": {"phase": "placed", "host": host, "reservation": {"memory": 4 << 30, "cpu_milli": 0},
                          "placed_at": now, "ready_at": now, "stop": None},
            }
            store.execute("INSERT INTO servers (id, owner, name, generation, host, body) VALUES (?,?,'',1,?,?)",
                          (server["id"], name(n), host, json.dumps(server)))
        store.commit()
        store.close()


class JupyterHub(Program):
    name = "JupyterHub"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        (folder / "config.py").write_text(f'''
import os
from jupyterhub.spawner import Spawner

class Trivial(Spawner):
    async def start(self):
        return "127.0.0.1", {self.around}
    async def stop(self, now=False):
        pass
    async def poll(self):
        return None

c.JupyterHub.spawner_class = Trivial
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{free_port()}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{self.port}"
c.JupyterHub.db_url = "sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret = b"x" * 32
c.JupyterHub.log_level = "WARN"
c.JupyterHub.cleanup_servers = False
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.auth_token = "x"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{self.around}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{TOKEN}", "admin": True}}]
''')

    def command(self):
        return [self.binary, "--config", self.folder / "config.py"]

    def fill(self, users, servers):
        self.start()
        self.stop()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
        database = sqlite3.connect(self.folder / "jupyterhub.sqlite")
        role, = database.execute("SELECT id FROM roles WHERE name = 'user'").fetchone()
        database.executemany("INSERT INTO users (id, name, admin, created, last_activity, cookie_id, state) VALUES (?,?,0,?,?,?,'{}')",
                             [(n + 1, name(n), now, now, f"{n:032x}") for n in range(users)])
        database.executemany("INSERT INTO user_role_map (user_id, role_id, managed_by_auth) VALUES (?,?,0)", [(n + 1, role) for n in range(users)])
        database.executemany("INSERT INTO servers (id, proto, ip, port, base_url, cookie_name) VALUES (?,'http','127.0.0.1',?,?,?)",
                             [(10_000 + n, self.around, f"/user/{name(n)}/", f"jupyterhub-user-{name(n)}") for n in range(servers)])
        database.executemany("INSERT INTO spawners (user_id, server_id, state, name, display_name, started, last_activity, user_options) VALUES (?,?,'{\"x\": 1}','','',?,?,'{}')",
                             [(n + 1, 10_000 + n, now, now) for n in range(servers)])
        database.commit()
        database.close()


def name(number):
    return f"user{number:05}"


# What is asked.

def script(folder, body):
    path = folder / "ask.lua"
    path.write_text(f'local headers = {{ ["Authorization"] = "token {TOKEN}", ["Accept"] = "application/jupyterhub-pagination+json" }}\n'
                    "math.randomseed(os.time())\nrequest = function()\n" + body + "\nend\n")
    return path


def ask(hub, folder, at_once, seconds, body):
    """Requests a second, and milliseconds of processor time that one costs the hub."""
    command = ["wrk", "--threads", "1", "--connections", str(at_once), "--duration", f"{seconds}s", "--timeout", "30s",
               "--script", script(folder, body), f"http://127.0.0.1:{hub.port}"]
    before = hub.ticks()
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = hub.ticks() - before
    if "Non-2xx" in said:
        sys.exit(f"{hub.name}: {said}")
    done = int(re.search(r"(\d+) requests in", said).group(1))
    return float(re.search(r"Requests/sec:\s*([\d.]+)", said).group(1)), spent * 1000 / max(done, 1)


def measure(hub, folder, users, servers, seconds):
    found = {}
    starts = []
    for _ in range(STARTS):
        if hub.process:
            hub.stop()
        starts.append(hub.start())
    found["start"] = statistics.median(starts)
    # Both go on after they have begun to serve: JupyterHub asks its servers.
    time.sleep(20)
    found["memory"] = hub.megabytes()
    page = hub.get("/users?limit=200")
    running = [user for user in page if user["servers"]]
    if len(page) != min(200, users) or len(running) < min(199, servers):
        sys.exit(f"{hub.name} has {len(page)} users on a page, {len(running)} of them with a server")
    pages = f'return wrk.format("GET", "/hub/api/users?limit=50&offset=" .. 50 * math.random(0, {users // 50 - 1}), headers)'
    one = f'return wrk.format("GET", string.format("/hub/api/users/user%05d", math.random(0, {users - 1})), headers)'
    activity = f'''local now = os.date("!%Y-%m-%dT%H:%M:%S.000000Z")
headers["Content-Type"] = "application/json"
local body = string.format('{{"servers": {{"": {{"last_activity": "%s"}}}}, "last_activity": "%s"}}', now, now)
return wrk.format("POST", string.format("/hub/api/users/user%05d/activity", math.random(0, {servers - 1})), headers, body)'''
    found["pages"] = ask(hub, folder, 8, seconds, pages)
    found["one"] = ask(hub, folder, 64, seconds, one)
    found["activity"] = ask(hub, folder, 64, seconds, activity)
    found["memory after"] = hub.megabytes()
    return found


def main(berth, jupyterhub, users, servers, seconds):
    with tempfile.TemporaryDirectory() as top:
        top = pathlib.Path(top)
        found = []
        for kind, binary in ((Berth, berth), (JupyterHub, jupyterhub)):
            folder = top / kind.name
            folder.mkdir()
            hub = kind(folder, binary)
            hub.fill(users, servers)
            found.append(measure(hub, folder, users, servers, seconds))
            hub.end()
        ours, theirs = found
        print(f"{users} users, {servers} running servers; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"{'':<44}{'Berth':>12}{'JupyterHub':>12}{'ratio':>8}")
        for key, text in (("pages", "GET /users, pages of 50, 8 at once"), ("one", "GET /users/NAME, 64 at once"), ("activity", "POST activity, 64 at once")):
            (rate, cost), (their_rate, their_cost) = ours[key], theirs[key]
            print(f"{text + ', a second':<44}{rate:>12.0f}{their_rate:>12.1f}{rate / their_rate:>8.1f}")
            print(f"{'  processor time of one, ms':<44}{cost:>12.3f}{their_cost:>12.3f}{their_cost / cost:>8.1f}")
        for key, text, unit in (("start", "start to serving, s", 3), ("memory", "resident after the start, MB", 0), ("memory after", "resident after all this, MB", 0)):
            print(f"{text:<44}{ours[key]:>12.{unit}f}{theirs[key]:>12.{unit}f}{theirs[key] / ours[key]:>8.1f}")


if sys.argv[1] == "around":
    around(sys.argv[2], int(sys.argv[3]))
else:
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
