"""``gateway opcua user add|remove|role|password|list``: who may log in over OPC UA, and as what.

Works on the users file, which a running gateway watches: a new user may log in at once, a removed one is out within a second.
"""

from __future__ import annotations

import argparse
import getpass
import json
import re
import secrets
import sys
from pathlib import Path
from typing import Any

from gateway.cli.opcua_files import add_config, services_of
from gateway.core.errors import ConfigError
from gateway.opcua.access import Account, Role, account, editing, read_accounts
from gateway.opcua.security import write_private

ROLES = [role.name.lower() for role in Role]


def add(actions: Any) -> None:
    """Add ``opcua user``."""
    user = actions.add_parser("user", help="who may log in: observer reads, operator commands, engineer sets parameters")
    commands = user.add_subparsers(dest="user_action", required=True)
    new = commands.add_parser("add", help="add a user; asks for the password")
    new.add_argument("--role", choices=ROLES, default=ROLES[0], help="observer unless given")
    new.set_defaults(func=run_add)
    password = commands.add_parser("password", help="give a user another password; asks for it")
    password.set_defaults(func=run_password)
    role = commands.add_parser("role", help="change what a user may do")
    remove = commands.add_parser("remove", help="remove a user")
    remove.set_defaults(func=run_remove)
    role.set_defaults(func=run_role)
    for parser in (new, password, role, remove):
        parser.add_argument("name", metavar="NAME")
    role.add_argument("role", choices=ROLES)
    for parser in (new, password):
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--password-stdin", action="store_true", help="read the password from standard input, one line")
        how.add_argument("--random", action="store_true", help="make one up and write it to a file that only you can read")
    listing = commands.add_parser("list", help="show the users")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(func=run_list)
    for parser in (new, password, role, remove, listing):
        add_config(parser)


def run_add(args: argparse.Namespace) -> int:
    """Add; 2 when the name is taken or the password is none."""
    path = services_of(args).users
    if path.exists() and args.name in read_accounts(path):
        raise ConfigError(f"{args.name}: there is such a user already; 'user password' and 'user role' change it")
    _store(path, args, Role[args.role.upper()])
    print(f"{args.name} may log in as {args.role}")
    return 0


def run_password(args: argparse.Namespace) -> int:
    """Change a password."""
    path = services_of(args).users
    _store(path, args, _known(path, args.name).role)
    print(f"{args.name} has a new password; sessions with the old one end within a second")
    return 0


def run_role(args: argparse.Namespace) -> int:
    """Change a role."""
    path = services_of(args).users
    _known(path, args.name)
    with editing(path) as accounts:
        was = accounts[args.name]
        accounts[args.name] = Account(name=was.name, role=Role[args.role.upper()], salt=was.salt, scrypt=was.scrypt)
    print(f"{args.name} is {args.role} from now on, open sessions included")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove a user."""
    path = services_of(args).users
    _known(path, args.name)
    with editing(path) as accounts:
        accounts.pop(args.name, None)
    print(f"{args.name} is removed; its sessions end within a second")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Show the users, not their passwords."""
    path = services_of(args).users
    accounts = sorted(read_accounts(path).values(), key=lambda a: a.name) if path.exists() else []
    if args.json:
        print(json.dumps([{"name": a.name, "role": a.role.name.lower()} for a in accounts]))
    elif not accounts:
        print(f"none yet: the first start of the gateway makes the user viewer ({path})")
    else:
        width = max(len(a.name) for a in accounts)
        print("\n".join(f"{a.name:<{width}}  {a.role.name.lower()}" for a in accounts))
    return 0


def _known(path: Path, name: str) -> Account:
    accounts = read_accounts(path) if path.exists() else {}
    if name not in accounts:
        raise ConfigError(f"{name}: there is no such user; there are: {', '.join(sorted(accounts)) or 'none'}")
    return accounts[name]


def _store(path: Path, args: argparse.Namespace, role: Role) -> None:
    password = secrets.token_urlsafe(12) if args.random else _asked(stdin=args.password_stdin)
    made = account(args.name, role, password)
    with editing(path) as accounts:
        accounts[args.name] = made
    if args.random:
        note = path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9_-]+', '-', args.name)}-password.txt")
        write_private(note, f"{password}\n".encode())
        print(f"its password is in {note}: pass it on and delete the file")


def _asked(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask for the password: use --password-stdin or --random")
    first = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != first:
        raise ConfigError("the two were not the same: nothing is changed")
    return first
