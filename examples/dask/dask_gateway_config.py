"""Dask Gateway on Slurm, for the users of the hub, as the service dask-gateway."""

import os
import sys

sys.path.insert(0, "/opt/berth")
import berth_access
import berth_limits
import berth_why
from dask_gateway_server.backends.jobqueue.slurm import SlurmBackend


class Slurm(berth_limits.InTurn, berth_why.Told, SlurmBackend):
    pass


address = os.environ["FARM_ADDRESS"]

c.DaskGateway.backend_class = Slurm
c.DaskGateway.authenticator_class = berth_access.Authenticator
# A token that has been revoked is asked about again after this many seconds.
c.JupyterHubAuthenticator.cache_max_age = 10
c.DaskGateway.address = "127.0.0.1:27001"
# The hub's proxy leads here with the path as it was asked.
c.Proxy.address = f"{address}:27000"
# Schedulers, for clients with the certificate of their cluster: a port of its own, which notebooks may reach.
c.Proxy.tcp_address = f"{address}:27001"
c.Proxy.prefix = "/services/dask-gateway"

c.SlurmBackend.api_url = f"http://{address}:27000/services/dask-gateway/api"
c.SlurmBackend.dask_gateway_jobqueue_launcher = "/opt/berth/launcher"
# How long a scheduler's job waits for its place is said in berth_why.py; what has its place may be slow for a while. A
# worker's job waits for its turn: that a farm is full is no failure of its.
c.SlurmBackend.cluster_start_timeout = berth_why.LONGEST_WAIT + 300
c.SlurmBackend.worker_start_timeout = 600
# Whoever waits learns soon what became of the job.
c.SlurmBackend.cluster_status_period = 5
c.SlurmBackend.cluster_heartbeat_timeout = 120

cluster = c.SlurmClusterConfig
# How large its jobs are, which Python they have, and when it ends with nothing to do, is said in berth_limits.py.
cluster.partition = "htc"
# The most that one cluster may have; what a person may have in all is the hub's to say.
cluster.cluster_max_workers = 8
c.Backend.cluster_options = berth_limits.cluster_options
