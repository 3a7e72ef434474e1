"""A hub that has one notice, and a notebook server of its user, in one container: for `image.rs`."""

import http.server
import json
import os

NOTICE = {"kind": "stop", "server": "s1", "name": "", "since": "2026-01-01T00:00:00Z", "extension": None,
          "text": "The server will stop: nothing is going on in it. <b>", "stops_at": "2026-01-02T10:11:12Z"}
SCOPE = "access:servers!server=alice/"


class Hub(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        if self.path == "/hub/api/berth/notices":
            self.answer({"notices": [NOTICE] if self.headers["Authorization"] == "token abc" else []})
        elif self.path == "/hub/api/user":
            self.answer({"name": "alice", "kind": "user", "admin": False, "groups": [], "scopes": [SCOPE]})
        else:
            self.answer({"version": "6.1.0"})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({})


hub = http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Hub)
if os.fork():
    hub.serve_forever()
base = "http://127.0.0.1:8081/hub/api"
os.environ.update({
    "HOME": "/tmp", "JUPYTERHUB_API_URL": base, "JUPYTERHUB_API_TOKEN": "abc", "JUPYTERHUB_USER": "alice",
    "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-alice", "JUPYTERHUB_SERVER_NAME": "", "JUPYTERHUB_BASE_URL": "/",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/", "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:8888/user/alice/",
    "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/alice/oauth_callback", "JUPYTERHUB_HOST": "",
    "JUPYTERHUB_OAUTH_SCOPES": json.dumps([SCOPE]), "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([SCOPE]),
    "JUPYTERHUB_ACTIVITY_URL": base + "/users/alice/activity",
})
os.execvp("jupyterhub-singleuser", ["jupyterhub-singleuser", "--ServerApp.root_dir=/tmp"])
