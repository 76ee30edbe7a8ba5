"""Connecting to a Ray cluster, or starting Ray on this machine, and letting go of it again.

    with connected(RayChoice("local", most=2)) as cluster:
        ...                                  # `ray` is initialised in this process

`local` starts Ray on 127.0.0.1 with the processors, GPUs and memory that were asked for and no
dashboard. It stops with the block, and with this process, also after `kill -9`. An address is
tried before Ray gets it, because `ray.init` alone waits minutes for a head that is not there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.cluster.cleaner import cleaned_up, marked
from nas.cluster.resources import HARDWARE, Node, RayChoice, check_room
from nas.cluster.storage import Storage
from nas.environment import usable_cpus
from nas.errors import ClusterError, ClusterLostError, missing_extra

LOCAL = "local"
OBJECT_STORE_BYTES = 512 * 2**20
"""Shared memory of a local Ray: holds the weights of one supernet, and chunks of children."""
_REACH_SECONDS = 5.0
_ANSWER_SECONDS = 12.0
_LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0, Ray's processes listen on 127.0.0.1 instead of every interface (Ray 2.60)."""
_AUTHENTICATION = "RAY_AUTH_MODE"
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what went wrong with workers is told by us
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to."""

    choice: RayChoice
    address: str
    """HOST:PORT of its head."""
    workers: int
    """How many workers of the choice fit, at most as many as were asked for."""

    @property
    def local(self) -> bool:
        """Whether it was started by this process, on this machine."""
        return self.choice.address == LOCAL

    def nodes(self) -> list[Node]:
        """The nodes that are alive now."""
        return _nodes(ray_module())

    def check_alive(self) -> None:
        """Call it when nothing arrives for some seconds: Ray itself waits a minute for a head.

        Raises:
            ClusterLostError: the head no longer answers.
        """
        if not _reachable(self.address):
            raise ClusterLostError(
                f"The head of the Ray cluster at {self.address} no longer answers. What was done "
                "so far is kept; start the cluster again and continue."
            )


@contextlib.contextmanager
def connected(choice: RayChoice) -> Iterator[Cluster]:
    """Connect this process to a cluster for the length of the block.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: no cluster is at the address, it does not answer, or it is too small; or
            the storage cannot be written to.
    """
    if choice.storage is not None:
        Storage.at(choice.storage).check()
    with contextlib.ExitStack() as held:
        os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
        local = choice.address == LOCAL
        ray = _started(choice, held) if local else _joined(choice.address, held)
        workers = check_room(_nodes(ray), choice)
        yield Cluster(choice, ray.get_runtime_context().gcs_address, workers)


@contextlib.contextmanager
def connected_if(choice: RayChoice | None) -> Iterator[Cluster | None]:
    """As `connected`, or nothing if no cluster was chosen."""
    with contextlib.nullcontext() if choice is None else connected(choice) as cluster:
        yield cluster


def ray_module() -> ModuleType:
    """Ray itself.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray", "Working on a cluster (--ray)") from error
    module: ModuleType = ray
    return module


def _started(choice: RayChoice, held: contextlib.ExitStack) -> ModuleType:
    """Ray on this machine, with nothing but what was asked for."""
    here = _this_machine(choice)
    workers = check_room([here], choice)
    _only_loopback(True)
    held.enter_context(_token_of_its_own())
    ray = ray_module()
    folder = Path(tempfile.mkdtemp(prefix="nas-ray-", dir=_short_folder()))
    held.enter_context(cleaned_up(folder))
    with marked(folder):
        _initialise(
            ray,
            held,
            num_cpus=choice.cpus * workers,
            num_gpus=choice.gpus * workers,
            resources={name: n for name, n in here.resources.items() if name.startswith(HARDWARE)},
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
    return ray


def _joined(address: str, held: contextlib.ExitStack) -> ModuleType:
    """Ray, connected to a cluster that somebody else started."""
    if address == "auto":
        address = _found()
    _check_reachable(address)
    _only_loopback(_on_loopback_alone(address))
    _check_answers(address)
    ray = ray_module()
    try:
        _initialise(ray, held, address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"Cannot join the Ray cluster at '{address}': {error} Run the command on a machine "
            "of the cluster, or send it there with `ray job submit`."
        ) from None
    return ray


def _initialise(ray: ModuleType, held: contextlib.ExitStack, **how: Any) -> None:
    """`ray.init` without its log lines, keeping this program's own handling of signals."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    held.callback(_stop, ray)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    for number, handler in kept.items():
        signal.signal(number, handler)


def _stop(ray: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.shutdown()


def _nodes(ray: ModuleType) -> list[Node]:
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def _this_machine(choice: RayChoice) -> Node:
    """What this machine has, as a node; it offers itself as the device `cpu`."""
    has = {"CPU": float(usable_cpus()), f"{HARDWARE}cpu": 1.0}
    if choice.gpus:
        import torch  # takes seconds

        has["GPU"] = float(torch.cuda.device_count())
    return Node("local", "this machine", has)


def _only_loopback(wanted: bool) -> None:
    """Let Ray's processes that start from now on listen on 127.0.0.1 alone, or not."""
    if wanted:
        os.environ[_LOOPBACK_ONLY] = "0"
    else:
        os.environ.pop(_LOOPBACK_ONLY, None)
    if constants := sys.modules.get("ray._private.ray_constants"):  # was read on import
        constants.ENABLE_RAY_CLUSTER = not wanted  # type: ignore[attr-defined]


def _found() -> str:
    """The address of the cluster that this machine or job belongs to."""
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    ray_module()
    from ray._private import services

    try:
        found: str = services.canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError:
        raise ClusterError(
            "--ray auto found no Ray on this machine. Start it with `ray start`, give the "
            "cluster's address with --ray HOST:PORT, or use --ray local."
        ) from None
    return found


def _on_loopback_alone(address: str) -> bool:
    """Whether the head listens on 127.0.0.1 and not on this machine's other addresses."""
    host, _, port = address.rpartition(":")
    if not host.startswith("127.") and host != "localhost":
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a way out
            outside = asked.getsockname()[0]
        except OSError:  # no other network
            return True
    return not _reachable(f"{outside}:{port}")


def _short_folder() -> str:
    """Where Ray's sockets fit: their paths may have 107 characters, of which Ray takes 65."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= 25 else "/tmp"


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise ClusterError(
            f"'{address}' is no address of a Ray cluster. Write --ray local, --ray auto (the "
            "cluster that this machine or job belongs to), or HOST:PORT of its head, such as "
            "10.0.0.5:6379."
        )
    if not _reachable(address):
        raise ClusterError(
            f"No Ray cluster answers at '{address}': nothing listens there, or a firewall is in "
            "the way. Start its head with `ray start --head --port=6379`, or correct --ray."
        )


def _reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS):
            return True
    except OSError:
        return False


def _check_answers(address: str) -> None:
    """Ask the head for its version; show it this machine's token if it wants one."""
    why = _refusal(address)
    if why is not None and "AuthenticationError" in why and _AUTHENTICATION not in os.environ:
        os.environ[_AUTHENTICATION] = "token"
        why = _refusal(address)
    if why is not None and "Authentication" in why:
        raise ClusterError(
            f"The Ray cluster at '{address}' wants a token, and this machine has none or another "
            "one. Copy the head's ~/.ray/auth_token here, or set RAY_AUTH_TOKEN."
        )
    if why is not None:
        raise ClusterError(
            f"The Ray cluster at '{address}' cannot be used: {why}. Correct --ray, or start the "
            "head again."
        )


def _refusal(address: str) -> str | None:
    """Why the head does not answer, asked in a process that can be ended; None if it does."""
    if importlib.util.find_spec("ray") is None:
        ray_module()
    program = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        asked = subprocess.run(
            program, timeout=_ANSWER_SECONDS, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return f"what listens there did not answer as Ray does within {_ANSWER_SECONDS:g} s"
    if asked.returncode == 0:
        return None
    return (asked.stderr.strip().splitlines() or ["it is no head of a cluster"])[-1]


@contextlib.contextmanager
def _token_of_its_own() -> Iterator[None]:
    """A token for the Ray of this process, so that Ray writes none into the home folder."""
    if _AUTHENTICATION in os.environ or "ray" in sys.modules:  # decided already
        yield
        return
    token = {_AUTHENTICATION: "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(token)
    try:
        yield
    finally:
        for name in token:
            os.environ.pop(name, None)
