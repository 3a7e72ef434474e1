"""What one person's clusters may take together, as the hub's quotas.toml says.

    c.Backend.cluster_options = berth_limits.cluster_options

A cluster reserves all that is left, or what `new_cluster(cores=..., memory=...)` asks for (memory in
bytes). Dask Gateway keeps it within that, and the hub counts it against the next one. Where it is to end
sooner than others when it has nothing to do, `new_cluster(idle_timeout=60)` says so, in seconds.
"""

import os

import aiohttp
from dask.utils import format_bytes
from dask_gateway_server.options import Integer, Options, String

# What a scheduler and a worker are. Here and not in the gateway's file, whose values it would read only after it has
# compared its own with a cluster's limits.
SIZES = {"scheduler_cores": 1, "scheduler_memory": "500 M", "worker_cores": 1, "worker_memory": "500 M"}

# Whoever leaves a cluster behind gives it back after so many seconds with nothing to do.
IDLE_TIMEOUT = 1800

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


def cores(number):
    return "1 core" if number == 1 else f"{number} cores"


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
    most = {
        **SIZES,
        "scheduler_cmd": [*dask, "scheduler"],
        "worker_cmd": [*dask, "worker", "--no-dashboard"],
        "idle_timeout": options.idle_timeout,
    }
    for name, words in (("cores", cores), ("memory", format_bytes)):
        limit, asked = farm[name], getattr(options, name)
        if not limit:
            continue
        if not 0 < asked <= left(limit):
            raise ValueError(
                f"Your quota on the farm is {words(limit['limit'])} ({limit['cite']}). Your clusters may take "
                f"{words(limit['taken'])} of it, which leaves {words(left(limit))}. Shut a cluster down, or ask for "
                f"less: new_cluster({name}=...)."
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
        Integer("idle_timeout", default=IDLE_TIMEOUT, min=1, max=IDLE_TIMEOUT),
        handler=lambda options: check(farm, options),
    )
