"""What pages cost, for `tests/bench/swarm` with BERTH_PAGES: the Floor in Chromium, or many open
pages of many people.

  pages.py URL PASSWORD-FILE HUB-PID floor
  pages.py URL PASSWORD-FILE HUB-PID streams PEOPLE EACH
"""

import http.client
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlencode, urlsplit

base, password_file, hub, act, *more = sys.argv[1:]
address = urlsplit(base).netloc


def log_in(name, password):
    """The cookies of somebody who has logged in."""
    connection = http.client.HTTPConnection(address)
    cookies = {}

    def ask(method, path, form=None):
        headers = {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items()),
                   "Origin": base, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, path, form, headers)
        answer = connection.getresponse()
        text = answer.read()
        for key, value in answer.getheaders():
            if key.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                cookies[key] = rest.split(";")[0]
        return answer.status, text

    _, page = ask("GET", "/hub/login")
    xsrf = re.search(r'name="_xsrf" value="([^"]*)"', page.decode()).group(1)
    for _ in range(60):
        form = urlencode({"username": name, "password": password, "_xsrf": xsrf})
        status, page = ask("POST", "/hub/login", form)
        if status in (302, 303):
            return cookies
        time.sleep(1)  # so many logins at a time, and no more
    sys.exit(f"login of {name}: {status} {page[:300]}")


def cookie_header(cookies):
    return "; ".join(f"{key}={value}" for key, value in cookies.items())


def memory():
    """The hub's resident memory in MB."""
    with open(f"/proc/{hub}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) // 1024


def ticks():
    with open(f"/proc/{hub}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def p95(path, cookies, count=200):
    """Median and 95th percentile of the whole answer, in ms."""
    connection = http.client.HTTPConnection(address)
    times = []
    for _ in range(count):
        began = time.monotonic()
        connection.request("GET", path, headers={"Cookie": cookie_header(cookies)})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status}")
        times.append((time.monotonic() - began) * 1000)
        time.sleep(0.02)
    times.sort()
    return statistics.median(times), times[len(times) * 95 // 100]


def processor_ms(act):
    """What an act costs the hub, without what goes on anyway."""
    begin, before = time.monotonic(), ticks()
    act()
    took, used = time.monotonic() - begin, ticks() - before
    before = ticks()
    time.sleep(took)
    return max(0, used - (ticks() - before)) * 1000 / os.sysconf("SC_CLK_TCK")


class Driver:
    """Chromium by its driver: a few calls of WebDriver."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            found = re.search(r"successfully on port (\d+)", line)
            if found:
                break
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found.group(1)), timeout=120)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                 f"--user-data-dir={self.profile.name}", "--window-size=1280,900"]
        options = {"binary": "/usr/bin/chromium", "args": flags}
        session = self.ask("session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.session = session["sessionId"]

    def ask(self, path, body, method="POST"):
        self.connection.request(method, "/" + path, json.dumps(body) if body is not None else None)
        answer = json.loads(self.connection.getresponse().read())["value"]
        if isinstance(answer, dict) and "error" in answer:
            sys.exit(f"{path}: {answer['message']}")
        return answer

    def go(self, url):
        self.ask(f"session/{self.session}/url", {"url": url})

    def script(self, text):
        return self.ask(f"session/{self.session}/execute/sync", {"script": text, "args": []})

    def wait(self, text):
        return self.ask(f"session/{self.session}/execute/async", {"script": text, "args": []})

    def close(self):
        self.ask(f"session/{self.session}", None, "DELETE")
        self.process.terminate()
        self.process.wait()


# Two frames after everything is loaded the page is drawn and answers.
LOADED = """
const done = arguments[0];
const ready = () => requestAnimationFrame(() => requestAnimationFrame(() => {
  const page = performance.getEntriesByType("navigation")[0];
  const all = performance.getEntriesByType("resource");
  done({ first: page.responseStart - page.requestStart, usable: performance.now(),
         kb: [page, ...all].reduce((sum, it) => sum + it.transferSize, 0) / 1000,
         nodes: document.querySelectorAll("*").length });
}));
document.readyState === "complete" ? ready() : addEventListener("load", ready);
"""

# What a second of following costs: news that come, and the longest that anything else had to wait.
FOLLOWED = """
const done = arguments[0];
let longest = 0, frames = 0, news = 0, before = performance.now();
const end = before + 15000;
new MutationObserver(() => { news += 1; }).observe(document.getElementById("fl-floor"), { childList: true, subtree: true });
const frame = (now) => {
  longest = Math.max(longest, now - before); before = now; frames += 1;
  now < end ? requestAnimationFrame(frame) : done({ longest, frames, news });
};
requestAnimationFrame(frame);
"""


def floor():
    with open(password_file) as file:
        cookies = log_in("admin", file.read().strip())
    cost = processor_ms(lambda: p95("/hub/admin/floor", cookies, 50)) / 50
    print(f"  one request for the Floor costs the hub {cost:.0f} ms of a processor")
    driver = Driver()
    driver.go(f"{base}/hub/login")
    for key, value in cookies.items():
        body = {"cookie": {"name": key, "value": value, "path": "/", "secure": key.startswith("__Host-")}}
        driver.ask(f"session/{driver.session}/cookie", body)
    rounds = []
    for _ in range(5):
        driver.go("about:blank")
        driver.go(f"{base}/hub/admin/floor")
        rounds.append(driver.wait(LOADED))
    middle = {key: statistics.median(it[key] for it in rounds) for key in rounds[0]}
    print(f"  Floor in Chromium: first byte {middle['first']:.0f} ms, usable after {middle['usable']:.0f} ms, "
          f"{rounds[0]['kb']:.0f} kB at first, {middle['nodes']:.0f} nodes")
    live = driver.wait(FOLLOWED)
    print(f"  15 s of it live: {live['frames'] / 15:.0f} frames a second, the longest {live['longest']:.0f} ms, "
          f"{live['news']} times news")
    driver.close()


def streams(people, each):
    """Opens the live part of everybody's home, several times, and reads what comes."""
    everybody = [log_in(f"u{number:04}", "not a secret at all") for number in range(people)]
    begin, last, opened = memory(), everybody[-1], 0
    selector = selectors.DefaultSelector()
    host, port = address.split(":")
    for cookies in everybody:
        for _ in range(each):
            one = socket.create_connection((host, int(port)))
            one.sendall(f"GET /hub/live/home HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n"
                        f"Cookie: {cookie_header(cookies)}\r\n\r\n".encode())
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ)
            opened += 1
    heard, end, before = 0, time.monotonic() + 20, ticks()
    while time.monotonic() < end:
        for key, _ in selector.select(0.5):
            if not key.fileobj.recv(1 << 16):
                sys.exit("a stream has ended")
            heard += 1
    cost = (ticks() - before) * 100 / os.sysconf("SC_CLK_TCK") / 20
    begun = memory()
    # Others ask while all of them go on; what comes waits in the sockets.
    middle, slow = p95("/hub/home", last)
    help_middle, help_slow = p95("/hub/help", last)
    print(f"  {opened} open streams of {people} people: hub {begin} MB before, {begun} MB with them, "
          f"{cost:.0f} % of a processor, {heard / 20:.0f} news a second")
    print(f"  others meanwhile: /hub/home {middle:.0f} ms, p95 {slow:.0f} ms; /hub/help {help_middle:.0f} ms, "
          f"p95 {help_slow:.0f} ms")


if act == "floor":
    floor()
else:
    streams(int(more[0]), int(more[1]))
