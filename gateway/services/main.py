"""The services process: starts OPC UA, pictures and one feed a line, and stops them in order.

Control, capture and journals need not be there, now or ever: this process waits for them and loses nothing by it. It must not
touch a PLC, a camera or the inference engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time

import structlog
from pydantic import ValidationError

from gateway.core.errors import ConfigError, GatewayError
from gateway.opcua.server import OpcUaServer
from gateway.process import log_to_stderr, read_config, stop_requested
from gateway.record.images import PictureStore
from gateway.record.ops import OpsDatabase
from gateway.services.archive import JournalArchive
from gateway.services.config import ServicesConfig
from gateway.services.desk import Desks
from gateway.services.line import LineFeed, nodes_of

log = structlog.get_logger()


async def run(config: ServicesConfig) -> None:
    """Serve until stdin ends. Raises ConfigError or GatewayError, saying what to do, when it cannot start."""
    stop = stop_requested()
    async with contextlib.AsyncExitStack() as stack:
        ops = OpsDatabase(config.ops)
        stack.callback(ops.close)
        desks = Desks()
        archive = JournalArchive(config.lines, ops, clock=time.time_ns)
        stack.push_async_callback(asyncio.to_thread, archive.close)
        server = OpcUaServer(
            [nodes_of(line) for line in config.lines],
            host=config.opcua.host,
            port=config.opcua.port,
            application_uri=config.opcua.application_uri,
            pki=config.pki,
            users=config.users,
            nodesets=config.opcua.nodesets,
            desk=desks,
            archive=archive,
        )
        await server.start()
        stack.push_async_callback(server.stop)
        pictures = config.pictures
        store = PictureStore(config.picture_dir, pictures.max_mb, pictures.pass_share, min_free_mb=pictures.min_free_mb)
        stack.push_async_callback(asyncio.to_thread, store.close)
        feeds = [LineFeed(line, ops=ops, server=server, store=store, clock=time.time_ns) for line in config.lines]
        for feed in feeds:
            stack.callback(feed.close)
            desks.add(feed.station_id, feed.desk)
            await stack.enter_async_context(feed.stream)
            await feed.start()
        # Objects made so far live as long as the process: a collection must not walk the whole address space.
        gc.collect()
        gc.freeze()
        password_file = str(server.new_password_file) if server.new_password_file else None
        print(json.dumps({"event": "ready", "opcua": server.url, "viewer_password_file": password_file}), flush=True)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(feed.run()) for feed in feeds]
            tasks.append(group.create_task(server.guarded()))
            await stop.wait()
            for task in tasks:
                task.cancel()


def main() -> int:
    """Run the process; 2 for a mistake in the configuration, 1 for something that cannot be used."""
    log_to_stderr(process="services")
    try:
        config = ServicesConfig.model_validate_json(read_config())
        import uvloop

        uvloop.run(run(config))
    except (ConfigError, ValidationError) as error:
        log.error("configuration", error=str(error))
        return 2
    except GatewayError as error:
        log.error("cannot run", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
