"""The files of an installation: the data folder, what is private in it, the last good configuration, the model packages."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.config import GatewayConfig, nearest_folder
from gateway.core.errors import ConfigError, GatewayError
from gateway.doctor.finding import Finding, error, ok, warning
from gateway.last_good import folder_of, restore
from gateway.services.config import ServicesConfig
from gateway.vision.package import load_package

MIB = 1 << 20
FREE_MIB = 1024
"""Free disk below which a plant's day of journal may not fit."""


def services_of(config: GatewayConfig) -> ServicesConfig:
    """Return where services keep what they keep; without the lines."""
    return ServicesConfig.model_construct(data_dir=config.data, lines=[], opcua=config.opcua, pictures=config.pictures)


def data_folder(config: GatewayConfig) -> Iterator[Finding]:
    """Look at the data folder: there, writable, private, with room."""
    folder = config.data
    if not folder.exists():
        parent, why = nearest_folder(folder)
        if why:
            remedy = f"make {folder} for the gateway's user, or name another folder"
            yield error("data", f"{folder} does not exist and {parent} {why}", "no record could be kept", remedy)
            return
        yield ok("data", f"{folder} is made at the first start")
        folder = parent
    elif not os.access(folder, os.W_OK | os.X_OK | os.R_OK):
        remedy = f"chown it to the gateway's user (this is uid {os.geteuid()})"
        yield error("data", f"{folder} cannot be written by this user", "no record could be kept, so no part may pass", remedy)
        return
    elif folder.stat().st_mode & 0o022:
        why = "whoever may write there may alter records, keys and trusted certificates"
        yield error("data", f"others than its owner may write to {folder}", why, f"chmod go-w {folder}")
    elif folder.stat().st_mode & 0o005:
        why = "records, pictures and process values can be read by every user of this machine"
        yield warning("data", f"every user may read {folder}", why, f"chmod o-rwx {folder}")
    else:
        yield ok("data", f"{folder} is writable and private")
    free = shutil.disk_usage(folder).free // MIB
    if free < config.pictures.min_free_mb:
        why = "pictures are not kept any more; when nothing is left, no part passes for want of a journal"
        yield error("disk", f"{free} MiB free for {folder}", why, "free some, or move data to a larger disk")
    elif free < FREE_MIB:
        yield warning("disk", f"{free} MiB free for {folder}", "it may be full within days", "free some, or move data")
    else:
        yield ok("disk", f"{free} MiB free for {folder}")


def future_files(config: GatewayConfig) -> Iterator[Finding]:
    """Look for files that are younger than now: the clock has been set back since."""
    newest = max((p.stat().st_mtime for p in config.data.rglob("*") if p.is_file()), default=0.0)
    ahead = newest - time.time()
    if ahead > 5:
        why = "records made now seem older than those made before"
        yield warning("clock.back", f"a file in {config.data} is {ahead:.0f} s younger than now", why, "set the clock right")
    else:
        yield ok("clock.back", "no file is younger than now")


def private_files(config: GatewayConfig) -> Iterator[Finding]:
    """Look at the modes of keys and password files."""
    services = services_of(config)
    secret = [services.users, *sorted((services.pki / "own" / "private").glob("*"))]
    notes = sorted(services.users.parent.glob(f"{services.users.stem}-*-password.txt"))
    there = [p for p in (*secret, *notes) if p.is_file()]
    open_ones = [p for p in there if p.stat().st_mode & 0o077]
    for path in open_ones:
        why = "whoever reads it can pretend to be this gateway, or log in to it"
        yield error("secrets", f"{path} can be read by others", why, f"chmod 600 {path}")
    for path in notes:
        why = "the first password lies there in plain text"
        yield warning("secrets.note", f"{path} is still there", why, "write the password down elsewhere and remove the file")
    if not open_ones:
        yield ok("secrets", f"{len(there)} key and password file(s), none of them readable by others")


def last_good(path: Path) -> Iterator[Finding]:
    """Look whether there is something to start with when gateway.yaml is wrong one day."""
    why = "a gateway.yaml that is wrong at the next start would keep the line from starting"
    folder = folder_of(path)
    try:
        kept = restore(path)
    except ConfigError as refused:
        yield warning("last-good", str(refused).splitlines()[0], why, "start once with a right configuration")
        return
    if kept is not None:
        yield ok("last-good", f"kept on {kept.kept_utc}")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        remedy = f"let the gateway's user write to {path.parent}, or make {folder} for it"
        yield warning("last-good", f"{folder} cannot be made", why, remedy)
    else:
        yield ok("last-good", "none yet: the first start that succeeds makes it")


def model(line: str, path: Path) -> Iterator[Finding]:
    """Look at every file of a line's model package, by its sha256."""
    try:
        package = load_package(path)
    except GatewayError as refused:
        why = "a model that is not as it was packed may not judge"
        yield error("model", str(refused).splitlines()[0], why, "copy the package again as a whole, or train it again", line)
        return
    files = len(package.manifest.sha256)
    yield ok("model", f"{package.manifest.id}: {files} files with the sha256 they were packed with", line)
