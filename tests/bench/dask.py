"""One measurement of tests/bench/dask, in the container that it is about. Imports are not counted."""

import os
import socket
import statistics
import subprocess
import sys
import time

BYTES = 128 << 20
PROGRAM = "/opt/jupyter/bin/dask"


def sbatch(command):
    """Sends a job of one processor, as the gateway and dask-jobqueue do."""
    sent = subprocess.run(
        ["sbatch", "--parsable", "-c1", "--mem=500", "-o", "/dev/null"],
        input=f"#!/bin/sh\nexec {command}\n", text=True, capture_output=True, check=True,
    )
    return sent.stdout.strip()


def workers(where):
    """Sends the jobs of three workers."""
    return [sbatch(f"{PROGRAM} worker {where} --nthreads 1 --no-dashboard --memory-limit 500MB") for _ in range(3)]


def seconds(begin):
    """From the first command until three workers are there."""
    started = time.monotonic()
    client, end = begin()
    client.wait_for_workers(3, timeout=300)
    print(round(time.monotonic() - started, 2))
    client.close()
    end()


def hand_jobs():
    """A scheduler's job, and when that answers, the jobs of three workers."""
    from dask.distributed import Client

    file = os.path.expanduser(f"~/scheduler-{os.getpid()}.json")
    # One of the farm's ports that notebooks reach.
    port = 20000 + os.getpid() % 1000

    def begin():
        jobs = [sbatch(f"{PROGRAM} scheduler --port {port} --scheduler-file {file}")]
        while not (os.path.exists(file) and os.path.getsize(file)):
            time.sleep(0.02)
        client = Client(scheduler_file=file)
        jobs += workers(f"--scheduler-file {file}")
        return client, lambda: (subprocess.run(["scancel", *jobs]), os.remove(file))

    seconds(begin)


def gateway():
    """A cluster of Dask Gateway's."""
    from dask_gateway import Gateway

    def begin():
        cluster = Gateway().new_cluster()
        cluster.scale(3)
        return cluster.get_client(), cluster.shutdown

    seconds(begin)


def hand_here():
    """A scheduler in this process, and the jobs of three workers."""
    from dask.distributed import Client, Scheduler, SpecCluster

    address, port = os.environ["BERTH_FARM_ADDRESS"], os.environ["BERTH_FARM_PORTS"].split(",")[0]

    def begin():
        options = {"host": "tcp://0.0.0.0", "port": int(port), "dashboard_address": "127.0.0.1:0"}
        cluster = SpecCluster(workers={}, scheduler={"cls": Scheduler, "options": options})
        jobs = workers(f"tcp://{address}:{port}")
        return Client(cluster), lambda: (cluster.close(), subprocess.run(["scancel", *jobs]))

    seconds(begin)


def jobqueue():
    """A scheduler in this process, whose workers dask-jobqueue sends."""
    from dask.distributed import Client
    from dask_jobqueue import SLURMCluster

    def begin():
        cluster = SLURMCluster()
        cluster.scale(jobs=3)
        return Client(cluster), cluster.close

    seconds(begin)


def compare(hand, ours, times):
    """What one way takes beyond the other, round by round."""
    rows = [line.split() for line in times.splitlines()]
    by_hand, by_us = ([float(took) for way, took in rows if way == name] for name in (hand, ours))
    told(hand, by_hand)
    told(ours, by_us)
    told(f"{ours} beyond {hand}", [ours - hand for hand, ours in zip(by_hand, by_us)])


def told(name, values):
    """A line: the median, and the least and the most."""
    print(f"  {name:28} {statistics.median(values):8.2f}   {min(values):.2f} to {max(values):.2f}")


def listen(port):
    """Takes what comes, and sends as much back, until it is killed."""
    buffer = bytearray(1 << 20)
    with socket.create_server(("0.0.0.0", int(port))) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                take(connection, buffer)
                give(connection, buffer)


def take(connection, buffer):
    """Reads all bytes of one way."""
    left = BYTES
    while left > 0 and (got := connection.recv_into(buffer, min(left, len(buffer)))):
        left -= got


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
    rates = {name: [] for name in ports}
    for turn in range(int(rounds)):
        order = list(ports)[turn % len(ports):] + list(ports)[: turn % len(ports)]
        for name in order:
            rates[name].append(there_and_back(host, ports[name]))
    first = rates[next(iter(rates))]
    for name, got in rates.items():
        share = [one / plain for one, plain in zip(got, first)]
        low, middle, high = statistics.quantiles(share, n=4)
        print(f"  {name:10} {statistics.median(got):6.0f}   of plain: median {middle:.2f}, half of the rounds {low:.2f} to {high:.2f}")


globals()[sys.argv[1]](*sys.argv[2:])
