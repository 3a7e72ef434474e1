"""Starts many servers for `tests/bench/swarm`, and asks for the Floor as a program does."""

import http.client
import json
import os
import re
import statistics
import sys
import threading
import time
from urllib.parse import urlencode, urlsplit

base, token_file, servers, act, *more = sys.argv[1:]
address = urlsplit(base).netloc
with open(token_file) as file:
    token = file.read().strip()
headers = {"Authorization": "token " + token}
PER_USER = int(os.environ.get("BERTH_PER_USER", "20"))
# A start is answered when the server is: many have to be asked for at a time.
AT_ONCE = 96


def ask(connection, method, path, body=None):
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {**headers, "Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def start(numbers):
    connection = http.client.HTTPConnection(address)
    for number in numbers:
        user, name = f"u{number // PER_USER:04}", f"n{number % PER_USER}"
        status, text = ask(connection, "POST", f"/hub/api/users/{user}/servers/{name}", {"memory": "4G"})
        if status >= 300:
            sys.exit(f"{user}/{name}: {status} {text[:300]}")


class Browser:
    """Somebody who has logged in."""

    def __init__(self, password):
        self.cookies = {}
        self.connection = http.client.HTTPConnection(address)
        _, _, page = self.ask("GET", "/hub/login")
        xsrf = re.search(r'name="_xsrf" value="([^"]*)"', page.decode()).group(1)
        form = urlencode({"username": "admin", "password": password, "_xsrf": xsrf})
        status, _, page = self.ask("POST", "/hub/login", form)
        if status != 302 and status != 303:
            sys.exit(f"login: {status} {page[:500]}")

    def ask(self, method, path, form=None):
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
                   "Origin": base, "Content-Type": "application/x-www-form-urlencoded"}
        began = time.monotonic()
        self.connection.request(method, path, form, headers)
        answer = self.connection.getresponse()
        first = time.monotonic() - began
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        return answer.status, first, answer.read()

    def get(self, path):
        status, first, page = self.ask("GET", path)
        if status != 200:
            sys.exit(f"{path}: {status}")
        return first, len(page)


if act == "start":
    connection = http.client.HTTPConnection(address)
    for user in range((int(servers) + PER_USER - 1) // PER_USER):
        account = {"name": f"u{user:04}", "uid": 30_000 + user, "gid": 30_000, "password": "not a secret at all",
                   "groups": [{"name": f"group{user % 24}", "gid": 40_000 + user % 24}]}
        status, text = ask(connection, "POST", "/hub/api/berth/users", account)
        if status >= 300:
            sys.exit(f"user {user}: {status} {text[:300]}")
    began = time.monotonic()
    threads = [threading.Thread(target=start, args=(range(first, int(servers), AT_ONCE),)) for first in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if int(servers):
        print(f"  asked for    {int(servers) / (time.monotonic() - began):.0f} servers a second")
else:
    with open(more[0]) as file:
        browser = Browser(file.read().strip())
    for path in ("/hub/admin/floor", "/hub/admin/floor?by=idle", "/hub/api/berth/floor"):
        firsts, size = [], 0
        for _ in range(20):
            first, size = browser.get(path)
            firsts.append(first * 1000)
        firsts.sort()
        print(f"  {path:<26} first byte {statistics.median(firsts):.0f} ms, "
              f"at most {firsts[-1]:.0f}; {size / 1000:.0f} kB")
