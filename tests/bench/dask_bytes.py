"""Bytes a second between the farm and a container through its published port: plain, and by Dask's own programs."""

import os
import socket
import statistics
import sys
import time

BYTES = 128 << 20
# Of the farm's ports that notebooks reach, the last.
SCHEDULER = 20999


def listen(port):
    """Takes what comes, and sends as much back, until somebody comes with nothing."""
    buffer = bytearray(1 << 20)
    with socket.create_server(("0.0.0.0", int(port))) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                if take(connection, buffer) == 0:
                    return
                give(connection, buffer)


def take(connection, buffer):
    """Reads all bytes of one way; how many there were."""
    left = BYTES
    while left > 0 and (got := connection.recv_into(buffer, min(left, len(buffer)))):
        left -= got
    return BYTES - left


def give(connection, block):
    """Sends them."""
    for _ in range(BYTES // len(block)):
        connection.sendall(block)


def there_and_back(host, port):
    """MB a second, both ways together."""
    block = bytearray(1 << 20)
    with socket.create_connection((host, port), 60) as connection:
        began = time.monotonic()
        give(connection, block)
        take(connection, block)
        return 2 * BYTES / (time.monotonic() - began) / 1e6


def carry(rounds, host, *named):
    """The ports in turns, each beside the first."""
    ports = {name: int(port) for name, port in (it.rsplit("=", 1) for it in named)}
    for port in ports.values():
        # A listener may still be starting.
        while True:
            try:
                there_and_back(host, port)
                break
            except OSError:
                time.sleep(0.1)
    in_turns(int(rounds), list(ports), lambda name: there_and_back(host, ports[name]))
    for port in ports.values():
        socket.create_connection((host, port), 60).close()


def work(farm, host, port, name):
    """A worker of Dask's that listens on the port, until its scheduler ends."""
    address = f"tcp://{farm}:{SCHEDULER}"
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--name", name, "--no-nanny"]
    command += ["--no-dashboard", "--nthreads", "1", "--memory-limit", "0", "--local-directory", "/tmp"]
    command += ["--listen-address", f"tcp://0.0.0.0:{port}", "--contact-address", f"tcp://{host}:{port}"]
    # Its log would stand among the figures.
    os.environ["DASK_DISTRIBUTED__LOGGING__DISTRIBUTED"] = "critical"
    os.execv(sys.executable, command)


def compute(rounds, *names):
    """A scheduler and a client on the farm, and the workers in turns, each beside the first."""
    from distributed import Client, Scheduler, SpecCluster, wait

    block = bytes(BYTES)
    options = {"host": "tcp://0.0.0.0", "port": SCHEDULER, "dashboard": False}
    cluster = SpecCluster(workers={}, scheduler={"cls": Scheduler, "options": options}, silence_logs="error")
    with cluster, Client(cluster, direct_to_workers=True) as client:
        client.wait_for_workers(len(names), timeout=60)

        def once(name):
            began = time.monotonic()
            there = client.scatter(block, workers=[name], hash=False)
            took = time.monotonic() - began
            # Made there, so that it comes from there.
            back = client.submit(bytes, BYTES, workers=[name], pure=False)
            wait(back)
            began = time.monotonic()
            assert len(client.gather(back)) == BYTES
            took += time.monotonic() - began
            del there
            return 2 * BYTES / took / 1e6

        for name in names:
            once(name)
        in_turns(int(rounds), names, once)


def in_turns(rounds, names, measure):
    """Each once a round, and what it is beside the first."""
    rates = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            rates[name].append(measure(name))
    plain = rates[names[0]]
    for name, got in rates.items():
        share = [one / beside for one, beside in zip(got, plain)]
        low, middle, high = statistics.quantiles(share, n=4)
        of_plain = f"median {middle:.2f}, half of the rounds {low:.2f} to {high:.2f}"
        print(f"  {name:10} {statistics.median(got):6.0f}   of plain: {of_plain}")


globals()[sys.argv[1]](*sys.argv[2:])
