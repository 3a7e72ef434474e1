"""What one person's clusters may take together, as the hub's quotas.toml says.

    c.Backend.cluster_options = berth_limits.cluster_options

A cluster reserves all that is left, or what `new_cluster(cores=..., memory=...)` asks for (memory in
bytes). Dask Gateway keeps it within that, and the hub counts it against the next one.
"""

import os

import aiohttp
from dask_gateway_server.options import Integer, Options, String


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
    most = {}
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
        Integer("cores", default=left(farm["cores"])),
        Integer("memory", default=left(farm["memory"])),
        handler=lambda options: check(farm, options),
    )
