"""What one person's clusters may take together, as the hub's quotas.toml says.

    class SlurmInTurn(berth_limits.InTurn, SlurmBackend): pass
    c.DaskGateway.backend_class = SlurmInTurn
    c.Backend.cluster_options = berth_limits.cluster_options

A cluster reserves all that is left, or what `new_cluster(cores=..., memory=...)` asks for (memory in
bytes). Dask Gateway lets it have no more workers than fit into that, whoever scales what at the same moment, and the
hub counts it against the next one until it has ended. Where it is to end sooner than others when it has nothing to do,
`new_cluster(idle_timeout=60)` says so, in seconds; how long it waits for its place, `new_cluster(wait=600)`.
"""

import asyncio
import os
import weakref

import aiohttp
import berth_why
from aiohttp import web
from dask_gateway_server.options import Integer, Options, String
from dask_gateway_server.utils import format_bytes

# What a scheduler and a worker are. Here and not in the gateway's file, whose values it would read only after it has
# compared its own with a cluster's limits.
MIB = 1 << 20
SIZES = {"scheduler_cores": 1, "scheduler_memory": 500 * MIB, "worker_cores": 1, "worker_memory": 500 * MIB}
# Less is no cluster: a scheduler and one worker.
LEAST = {name: SIZES[f"scheduler_{name}"] + SIZES[f"worker_{name}"] for name in ("cores", "memory")}

# Whoever leaves a cluster behind gives it back after so many seconds with nothing to do.
IDLE_TIMEOUT = 1800
# So many seconds later the scheduler ends by itself: a gateway that was killed has forgotten it.
FORGOTTEN = 30
# A worker that Slurm starts when its scheduler is gone looks for it so many seconds.
WORKER_PATIENCE = 60

# The Python on the farm for a notebook of an image: both must have the same versions of Dask. Where the farm has
# Apptainer, ["apptainer", "exec", f"docker://{image}", "python"] is all that is needed.
PYTHON_OF = {"berth/notebook:dask": ["/opt/jupyter/bin/python"]}
# Where that Python finds it.
PRELOAD = "/opt/berth/berth_scheduler.py"


class InTurn:
    """A backend that makes one person's clusters one after the other, so that each is counted before the next is asked
    for: of two in the same instant the second finds what the first has left."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.turns = weakref.WeakValueDictionary()

    async def start_cluster(self, user, cluster_options):
        turn = self.turns.setdefault(user.name, asyncio.Lock())
        async with turn:
            return await super().start_cluster(user, cluster_options)


LATER = "Try again in a minute; if it stays so, tell your administrators."


async def ask(user):
    """What the hub says of a person's quota on the farm, and of the clusters that count against it."""
    url = f"{os.environ['JUPYTERHUB_API_URL']}/berth/users/{user.name}/farm"
    headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}
    timeout = aiohttp.ClientTimeout(total=10)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(url, headers=headers) as answer:
                said = await answer.json()
    except (aiohttp.ClientError, asyncio.TimeoutError) as error:
        raise refused(f"The hub does not say now what you may use on the farm ({type(error).__name__}). {LATER}")
    if answer.status != 200:
        raise refused(f"The hub does not say what you may use on the farm: {said.get('message')}. {LATER}")
    return said["farm"]


def refused(words):
    # Of this status the client shows the words, which stand in one line.
    return web.HTTPUnprocessableEntity(reason=" ".join(words.split()))


def left(limit):
    return max(0, limit["limit"] - limit["taken"]) if limit else 0


def cores(number):
    return "1 core" if number == 1 else f"{number} cores"


WORDS = {"cores": cores, "memory": format_bytes}


def within(name, limit, asked):
    """Refuses what is less than a cluster needs, or more than the quota leaves: says which, and what to do."""
    words, least = WORDS[name], LEAST[name]
    if limit and max(asked, least) > left(limit):
        wanted = f"You ask for {words(asked)}" if asked >= least else f"A cluster needs at least {words(least)}"
        less = f"Ask for less with new_cluster({name}=...), or shut" if least <= left(limit) else "Shut"
        raise refused(
            f"{wanted}, and {words(left(limit))} are left of your quota on the farm: it is {words(limit['limit'])} "
            f"({limit['cite']}), of which your other clusters may take {words(limit['taken'])}. {less} down one of those "
            "that Gateway().list_clusters() shows. Your administrators can give you more."
        )
    if asked < least:
        raise refused(
            f"You ask for {words(asked)}, and a cluster needs at least {words(least)}: for its scheduler and one worker. "
            f"Ask for more with new_cluster({name}=...)."
        )


def check(farm, options):
    if farm["slurm_trouble"]:
        raise refused(
            f"The farm takes no jobs now. Slurm: {farm['slurm_trouble']}. Clusters that run go on. Try again later: the "
            "hub's page of your server says as long as Slurm does not answer."
        )
    if options.image not in PYTHON_OF:
        raise refused(
            f"The farm has no Dask for the image {options.image}, but for {', '.join(PYTHON_OF)}. "
            "Start a server with one of those."
        )
    # By their modules: the command "dask" loads all of Dask's commands first.
    module = [*PYTHON_OF[options.image], "-m"]
    # The scheduler's dashboard is begun by the preload, when the scheduler is there. A worker's own pages cannot be
    # reached from anywhere, and would only slow its start.
    forgotten = f"{options.idle_timeout + FORGOTTEN}s"
    scheduler = ["distributed.cli.dask_scheduler", "--no-dashboard", "--preload", PRELOAD, "--idle-timeout", forgotten]
    worker = ["distributed.cli.dask_worker", "--no-dashboard", "--death-timeout", str(WORKER_PATIENCE)]
    most = {
        **SIZES,
        "scheduler_cmd": module + scheduler,
        "worker_cmd": module + worker,
        "idle_timeout": options.idle_timeout,
    }
    for name in WORDS:
        limit, asked = farm[name], getattr(options, name)
        if limit or asked:
            within(name, limit, asked)
            most[f"cluster_max_{name}"] = asked
    return most


async def cluster_options(user):
    farm = await ask(user)
    return Options(
        # Which server began it: the profile's environment says so, and the hub shows it there.
        String("server", default=""),
        # That server's image, as the environment says, too.
        String("image", default=next(iter(PYTHON_OF))),
        # Where there is no quota nothing is reserved, unless it is asked for: 0.
        Integer("cores", default=left(farm["cores"])),
        Integer("memory", default=left(farm["memory"])),
        Integer("idle_timeout", default=IDLE_TIMEOUT, min=1, max=IDLE_TIMEOUT),
        berth_why.option(),
        handler=lambda options: check(farm, options),
    )
