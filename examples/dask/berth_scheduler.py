"""A scheduler of Dask Gateway's that is there sooner: a preload beside the gateway's own.

    dask scheduler --no-dashboard --preload /opt/berth/berth_scheduler.py ...

Half of a scheduler's start is loading what draws its dashboard, so this one listens first, and loads that while the
workers start. And it tells the gateway that it listens at once, not a quarter of a second later.
"""

import asyncio
import importlib
import logging

log = logging.getLogger("distributed.scheduler")
# The event loop alone would forget it.
running = set()


def dask_setup(scheduler):
    task = asyncio.ensure_future(after_start(scheduler))
    running.add(task)
    task.add_done_callback(running.discard)


async def after_start(scheduler):
    await tell_gateway(scheduler)
    try:
        await draw(scheduler)
    except Exception:
        log.exception("There is no dashboard.")


async def tell_gateway(scheduler):
    # The gateway's preload is started after this one, and then waits before it tells for the first time.
    while (gateway := scheduler.services.get("gateway")) is None or gateway.waiter.task is None:
        await asyncio.sleep(0.005)
    await gateway.waiter.interrupt()


async def draw(scheduler):
    dashboard = await asyncio.to_thread(importlib.import_module, "distributed.dashboard.scheduler")
    dashboard.connect(scheduler.http_application, scheduler.http_server, scheduler)
