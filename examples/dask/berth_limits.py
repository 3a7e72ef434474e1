"""What one person's clusters may take together, as the hub's quotas.toml says.

    c.Backend.cluster_options = berth_limits.cluster_options

A cluster reserves all that is left, or what `new_cluster(cores=..., memory=...)` asks for (memory in
bytes). Dask Gateway keeps it within that, and the hub counts it against the next one.
"""

import os

import aiohttp
from dask_gateway_server.options import Integer, Options, String

# What starts Dask on the farm for a notebook of an image: both must have the same versions. Where the farm has
# Apptainer, ["apptainer", "exec", f"docker://{image}", "dask"] is all that is needed.
DASK_OF = {"berth/notebook:dask": ["/opt/jupyter/bin/dask"]}


async def ask(user):
    url = f"{os.environ['JUPYTERHUB_API_URL']}/berth/users/{user.name}/farm"
    headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(url, headers=headers) as answer:
            said = await answer.json()
            if answer.status != 200:
                raise RuntimeError(f"The hub does not say what you may use: {said.get('message')}")
            return said["farm"]


def left(limit):
    return max(0, limit["limit"] - limit["taken"]) if limit else 0


def check(farm, options):
    if farm["slurm_trouble"]:
        raise ValueError(f"The farm takes no jobs now. Slurm: {farm['slurm_trouble']}")
    if options.image not in DASK_OF:
        raise ValueError(
            f"The farm has no Dask for the image {options.image}, but for {', '.join(DASK_OF)}. "
            "Start a server with one of those."
        )
    dask = DASK_OF[options.image]
    # A worker's own pages cannot be reached from anywhere, and would only slow its start.
    most = {"scheduler_cmd": [*dask, "scheduler"], "worker_cmd": [*dask, "worker", "--no-dashboard"]}
    for name, unit in (("cores", "cores"), ("memory", "bytes of memory")):
        limit, asked = farm[name], getattr(options, name)
        if not limit:
            continue
        if not 0 < asked <= left(limit):
            raise ValueError(
                f"Your quota on the farm is {limit['limit']} {unit} ({limit['cite']}), of which your clusters may take "
                f"{limit['taken']}: {left(limit)} are left. Shut a cluster down, or ask for less: new_cluster({name}=...)."
            )
        most[f"cluster_max_{name}"] = asked
    return most


async def cluster_options(user):
    farm = await ask(user)
    return Options(
        # Which server began it: the profile's environment says so, and the hub shows it there.
        String("server", default=""),
        # That server's image, as the environment says, too.
        String("image", default=next(iter(DASK_OF))),
        Integer("cores", default=left(farm["cores"])),
        Integer("memory", default=left(farm["memory"])),
        handler=lambda options: check(farm, options),
    )
