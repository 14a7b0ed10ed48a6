"""Where the OPC UA server's files lie, as the configuration says."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.config import load_config
from gateway.services.config import ServicesConfig


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``."""
    parser.add_argument("--config", type=Path, default=Path("gateway.yaml"), help="gateway.yaml (default: the one here)")


def services_of(args: argparse.Namespace) -> ServicesConfig:
    """Return the paths of the gateway in ``--config``. ConfigError when it is wrong or not there."""
    config = load_config(args.config)
    return ServicesConfig.model_construct(data_dir=config.data, lines=[], opcua=config.opcua, pictures=config.pictures)
