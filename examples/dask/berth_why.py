"""Why a cluster has not started, told to whoever waits for it in a notebook.

    class Slurm(berth_why.Told, SlurmBackend): pass

Dask Gateway itself says "failed to start, see logs", and its logs go with the cluster. And it waits without a word: here
a cluster that gets no place on the farm is given up after as many seconds as it was asked to wait,
`new_cluster(wait=600)`.
"""

import asyncio
import time

from aiohttp import web
from dask_gateway_server.backends.db_base import JobStatus
from dask_gateway_server.models import ClusterStatus
from dask_gateway_server.options import Integer

# Seconds until a scheduler's job that still waits is given up, where nothing is said, and at most.
WAIT, LONGEST_WAIT = 120, 600


def option():
    return Integer("wait", default=WAIT, min=1, max=LONGEST_WAIT)


class Told:
    """A backend for Slurm that keeps why a cluster failed, with the cluster."""

    async def do_start_cluster(self, cluster):
        try:
            async for state in super().do_start_cluster(cluster):
                yield state
        except Exception as error:
            cluster.why = (
                f"The farm did not take the job of this cluster's scheduler: {last_line(error)}. Nothing of it is left. Try "
                "again later; if it stays so, tell your administrators."
            )
            await self.clear(cluster)
            raise

    async def clear(self, cluster):
        """Removes the folder with the cluster's key: without a job, its end does not."""
        folder = self.get_staging_directory(cluster)
        try:
            await self.do_as_user(cluster.username, "stop", cmd=["/bin/true"], env={}, staging_dir=folder)
        except Exception as error:
            self.log.warning("%s is left of cluster %s: %s", folder, cluster.name, last_line(error))

    async def do_check_clusters(self, clusters):
        alive = await super().do_check_clusters(clusters)
        return [is_alive and not await self.gives_up(cluster) for cluster, is_alive in zip(clusters, alive)]

    async def gives_up(self, cluster):
        """Whether a cluster has waited for its place as long as it was asked to. One that has its place may be slow."""
        wait = cluster.options.get("wait", WAIT)
        if time.time() - cluster.start_time / 1000 < wait:
            return False
        state, reason = await self.job_of(cluster)
        if state != "PENDING":
            return False
        cluster.why = (
            f"The farm had no place for this cluster within {wait} s. Slurm: {reason}. It waits no longer, and nothing of "
            f"it is left. Try again later, or wait longer (at most {LONGEST_WAIT} s): new_cluster(wait={LONGEST_WAIT})."
        )
        return True

    async def do_stop_cluster(self, cluster):
        if cluster.target == JobStatus.FAILED and not (cluster.scheduler_address or hasattr(cluster, "why")):
            state, reason = await self.job_of(cluster)
            cluster.why = (
                f"The scheduler of this cluster did not come up. Slurm says of its job: {state} ({reason}). Nothing of it is "
                "left. Try again; if it stays so, tell your administrators."
            )
        await super().do_stop_cluster(cluster)

    async def job_of(self, cluster):
        """The scheduler's job: its state and the reason, in Slurm's words."""
        job = (cluster.state or {}).get("job_id")
        if job is None:
            return "unknown", "it was not sent"
        asked = [self.status_command, "--noheader", f"--job={job}", "--states=all", "--format=%T %r"]
        pipe = asyncio.subprocess.PIPE
        squeue = await asyncio.create_subprocess_exec(*asked, env={}, stdout=pipe, stderr=pipe)
        said, trouble = await squeue.communicate()
        state, _, reason = said.decode(errors="replace").strip().partition(" ")
        return (state, reason) if state else ("unknown", last_line(trouble.decode(errors="replace")))

    async def get_cluster(self, cluster_name, wait=False):
        said = await super().get_cluster(cluster_name, wait)
        # Who waits is answered with the reason; of this status the client shows the words.
        if wait and said is not None and said.status == ClusterStatus.FAILED:
            why = getattr(self.db.get_cluster(cluster_name), "why", None)
            if why:
                raise web.HTTPConflict(reason=" ".join(why.split()))
        return said


def last_line(said):
    """What a program said last, which is why it gave up."""
    lines = str(said).strip().splitlines() or ["no reason is given"]
    return lines[-1].strip().removeprefix("stderr: ").rstrip(".")
