"""One measurement of tests/bench/dask, in the container that it is about: a number on standard output."""

import os
import socket
import subprocess
import sys
import time

BYTES = 512 << 20
SCRIPT = """#!/bin/bash
export PATH=/opt/jupyter/bin:$PATH
# One of the farm's ports that notebooks reach.
dask scheduler --port $((20000 + RANDOM % 1000)) --no-dashboard --scheduler-file FILE &
while [ ! -s FILE ]; do sleep 0.05; done
for i in 1 2 3; do dask worker --scheduler-file FILE --nthreads 1 --no-dashboard & done
wait
"""


def arrive(client):
    """Waits until three workers are there."""
    client.wait_for_workers(3, timeout=300)


def hand():
    """One job with a scheduler and three workers, by sbatch."""
    from dask.distributed import Client

    file = os.path.expanduser(f"~/scheduler-{os.getpid()}.json")
    text = SCRIPT.replace("FILE", file)
    sent = subprocess.run(
        ["sbatch", "--parsable", "-n4", "--mem-per-cpu=500", "-o", "/dev/null"],
        input=text, text=True, capture_output=True, check=True,
    )
    while not (os.path.exists(file) and os.path.getsize(file)):
        time.sleep(0.05)
    client = Client(scheduler_file=file)
    arrive(client)
    return lambda: (client.close(), subprocess.run(["scancel", sent.stdout.strip()]), os.remove(file))


def gateway():
    """A cluster of Dask Gateway's."""
    from dask_gateway import Gateway

    cluster = Gateway().new_cluster()
    cluster.scale(3)
    client = cluster.get_client()
    arrive(client)
    return lambda: (client.close(), cluster.shutdown())


def jobqueue():
    """A scheduler here, workers in Slurm."""
    from dask.distributed import Client
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster()
    cluster.scale(jobs=3)
    client = Client(cluster)
    arrive(client)
    return lambda: (client.close(), cluster.close())


def receive(port):
    """Takes what one sender sends, and prints MB a second."""
    with socket.create_server(("0.0.0.0", port)) as server:
        connection, _ = server.accept()
        began, left, buffer = time.monotonic(), BYTES, bytearray(1 << 20)
        while left > 0 and (got := connection.recv_into(buffer)):
            left -= got
        print(round(BYTES / (time.monotonic() - began) / 1e6), end="")


def send(port, host):
    """Sends to a receiver as soon as it listens."""
    block, left = bytes(1 << 20), BYTES
    while True:
        try:
            connection = socket.create_connection((host, port), 5)
            # A userland proxy accepts before the receiver does, and hangs up.
            connection.sendall(block)
            break
        except OSError:
            time.sleep(0.05)
    left -= len(block)
    while left > 0:
        connection.sendall(block)
        left -= len(block)
    connection.close()


what = sys.argv[1]
if what == "receive":
    receive(int(sys.argv[2]))
elif what == "send":
    send(int(sys.argv[2]), sys.argv[3])
else:
    started = time.monotonic()
    end = {"hand": hand, "gateway": gateway, "jobqueue": jobqueue}[what]()
    print(round(time.monotonic() - started, 1), end="")
    sys.stdout.flush()
    end()
