"""Seconds to three workers, in the notebook's container: by Dask Gateway and dask-jobqueue, and by hand.

By hand are the same programs with the same options in the same environment, so that a way's seconds beyond them are its
own. Imports are not counted.
"""

import os
import runpy
import statistics
import subprocess
import sys
import time
from pathlib import Path

# What a cell finds in its environment: Jupyter Server has it from this file.
runpy.run_path("/opt/jupyter/etc/jupyter/jupyter_server_config.py")

PYTHON = "/opt/jupyter/bin/python"
# As examples/dask/berth_limits.py has the gateway begin its programs.
PROGRAMS = f"{PYTHON} -m distributed.cli"
SCHEDULER = f"{PROGRAMS}.dask_scheduler --no-dashboard --idle-timeout 1830s --protocol tls --host 0.0.0.0"
WORKER = f"{PROGRAMS}.dask_worker --no-dashboard --death-timeout 60 --nthreads 1 --memory-limit 524288000"


def sbatch(script, *options):
    """Sends a job."""
    sent = subprocess.run(["sbatch", "--parsable", *options], input=script, text=True, capture_output=True, check=True)
    return sent.stdout.strip()


def as_the_gateway(command):
    """A job of one processor, as the gateway sends it."""
    return sbatch(f"#!/bin/sh\n\n{command}", "--cpus-per-task=1", "--mem=500M", "--output=/dev/null")


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
        jobs = [as_the_gateway(f"{SCHEDULER} --port {port} --scheduler-file {file}")]
        while not (os.path.exists(file) and os.path.getsize(file)):
            time.sleep(0.02)
        client = Client(scheduler_file=file)
        jobs += [as_the_gateway(f"{WORKER} --scheduler-file {file} --name hand-{number}") for number in range(3)]
        # The scheduler may have removed its file itself.
        return client, lambda: (subprocess.run(["scancel", *jobs]), Path(file).unlink(missing_ok=True))

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
    """A scheduler in this process, and the jobs of three workers: the scripts are dask-jobqueue's."""
    import dask
    from dask.distributed import Client, Scheduler, SpecCluster
    from dask_jobqueue.slurm import SLURMJob

    options = dask.config.get("jobqueue.slurm.scheduler-options")
    scripts = [SLURMJob(options["contact_address"], name=f"hand-{number}").job_script() for number in range(3)]

    def begin():
        cluster = SpecCluster(workers={}, scheduler={"cls": Scheduler, "options": options}, silence_logs="error")
        jobs = [sbatch(script) for script in scripts]
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


globals()[sys.argv[1]](*sys.argv[2:])
