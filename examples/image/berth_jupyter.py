"""What Berth adds to a notebook server: what the hub has to say to its owner appears in JupyterLab, and
the resource display shows the memory limit that holds now, also after it was changed."""

import json
import os

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.ioloop import PeriodicCallback

# The hub warns minutes and hours before anything: nobody needs it sooner.
EVERY_MS = 30_000
# The kernel's own files, of both versions of control groups.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
HUB = os.environ.get("JUPYTERHUB_API_URL", "")
TOKEN = {"Authorization": "token " + os.environ.get("JUPYTERHUB_API_TOKEN", "")}


def memory_limit(**_):
    """The limit of this container in bytes; what it was at its start where the kernel does not say."""
    for path in LIMITS:
        try:
            with open(path) as file:
                return int(file.read())
        except (OSError, ValueError):  # not there, or "max"
            continue
    return int(os.environ.get("MEM_LIMIT", 0))


class Notices:
    """Asks the hub, and hands each notice on once."""

    def __init__(self, app):
        self.log = app.log
        self.url = f"http://127.0.0.1:{app.port}{app.base_url}jupyterlab-notifications-extension/ingest"
        self.told = set()

    async def look(self):
        try:
            answer = await AsyncHTTPClient().fetch(HUB + "/berth/notices", headers=TOKEN)
            notices = json.loads(answer.body)["notices"]
            for notice in notices:
                if key(notice) not in self.told:
                    await self.tell(notice)
            # One that is over and comes again is told again.
            self.told = {key(notice) for notice in notices}
        except Exception as error:  # the hub restarts, or is none of ours: the next round asks again
            self.log.debug("no notices from the hub: %s", error)

    async def tell(self, notice):
        text = notice["text"]
        if notice.get("stops_at"):
            day, time = notice["stops_at"][:10], notice["stops_at"][11:16]
            text += f" It stops on {day} at {time} UTC."
        body = json.dumps({"message": text, "type": "warning", "autoClose": False, "immediate": True})
        # As the server itself, and without counting as its owner's work.
        request = HTTPRequest(self.url + "?no_track_activity=1", "POST", TOKEN, body)
        await AsyncHTTPClient().fetch(request)


def key(notice):
    return (notice["kind"], notice["since"], notice.get("stops_at"), notice.get("gpu"))


def _jupyter_server_extension_points():
    return [{"module": "berth_jupyter"}]


def _load_jupyter_server_extension(app):
    # Read by jupyter-resource-usage, which is loaded after this.
    app.config.ResourceUseDisplay.mem_limit = memory_limit
    if HUB:
        notices = Notices(app)
        app.io_loop.add_callback(notices.look)
        callback = PeriodicCallback(notices.look, EVERY_MS)
        app.io_loop.add_callback(callback.start)
