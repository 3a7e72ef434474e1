"""Dask's gateway as examples/dask configures it, on a farm that is only played: what would be a job is nothing."""

import asyncio
import os
import sys

sys.path.insert(0, os.environ["EXAMPLE"])
import berth_access
import berth_limits
from dask_gateway_server.backends.db_base import DBBackendBase


class Played(berth_limits.InTurn, DBBackendBase):
    """A scheduler is there at once, and does what it is told without a word."""

    async def do_start_cluster(self, cluster):
        nothing = dict.fromkeys(("active_workers", "closing_workers", "closed_workers"), ())
        addresses = dict.fromkeys(("api_address", "scheduler_address"), "127.0.0.1:1") | {"dashboard_address": ""}
        yield {}
        await self.on_cluster_heartbeat(cluster.name, {"count": 0, **nothing, **addresses})

    async def forward_message_to_scheduler(self, cluster, msg):
        self.log.info("Told %s: %s", cluster.name, msg)

    async def do_stop_cluster(self, cluster):
        pass


async def cluster_options(user):
    """The hub is far away: while its answer comes, others ask."""
    options = await berth_limits.cluster_options(user)
    await asyncio.sleep(0.1)
    return options


c.DaskGateway.address = "127.0.0.1:0"  # noqa: F821: the gateway defines c
c.DaskGateway.authenticator_class = berth_access.Authenticator  # noqa: F821
c.DaskGateway.backend_class = Played  # noqa: F821
c.Played.cluster_heartbeat_timeout = 600  # noqa: F821: nobody beats
c.JupyterHubAuthenticator.cache_max_age = 0  # noqa: F821
c.Backend.cluster_options = cluster_options  # noqa: F821
c.Proxy.address = "127.0.0.1:0"  # noqa: F821
c.Proxy.tcp_address = "127.0.0.1:0"  # noqa: F821
c.Proxy.prefix = "/services/dask-gateway"  # noqa: F821
