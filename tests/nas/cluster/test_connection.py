"""What is wrong with a cluster is told at once, in one message."""

from __future__ import annotations

import socket
import time

import pytest

from nas.cluster.connection import connected, connected_if
from nas.cluster.resources import Node, RayChoice, check_hardware, check_room
from nas.errors import ClusterError, ClusterLostError

TWO = [
    Node("a", "h1", {"CPU": 4.0}),
    Node("b", "h2", {"CPU": 3.0, "GPU": 1.0, "hardware_a100": 1}),
]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_room_is_counted_node_by_node() -> None:
    assert check_room(TWO, RayChoice("auto")) == 7
    assert check_room(TWO, RayChoice("auto", cpus=2)) == 3
    assert check_room(TWO, RayChoice("auto", cpus=2, most=2)) == 2
    assert check_room(TWO, RayChoice("auto", gpus=0.5)) == 2
    assert check_room(TWO, RayChoice("auto", fewest=3, most=90)) == 7


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (RayChoice("auto", most=8), "8 workers with 1 CPUs each were asked for.*room for 7"),
        (
            RayChoice("auto", fewest=2, most=4, gpus=1),
            "2 workers with 1 CPUs and 1 GPUs.*room for 1",
        ),
        (RayChoice("auto", cpus=5), "1 workers with 5 CPUs.*2 nodes with 7 CPUs and 1 GPUs"),
    ],
)
def test_a_cluster_that_is_too_small_is_refused(choice: RayChoice, words: str) -> None:
    with pytest.raises(ClusterError, match=f"too small: {words}"):
        check_room(TWO, choice)


def test_a_device_is_measured_where_it_is_offered() -> None:
    assert check_hardware(TWO, "a100").id == "b"
    with pytest.raises(ClusterError, match="offers 'hardware_h100'.*Offered are: hardware_a100"):
        check_hardware(TWO, "h100")


@pytest.mark.parametrize("address", ["nonsense", "ray://head:10001", "head:port", ":1"])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ClusterError, match="is no address of a Ray cluster"), _join(address):
        pass


def test_an_address_where_nothing_listens_is_told_at_once() -> None:
    began = time.monotonic()
    with (
        pytest.raises(ClusterError, match="No Ray cluster answers"),
        _join(f"127.0.0.1:{_free_port()}"),
    ):
        pass
    assert time.monotonic() - began < 20


def test_this_machine_is_no_larger_than_it_is() -> None:
    with pytest.raises(ClusterError, match="too small: 4000 workers"), _join("local", most=4000):
        pass


def test_no_cluster_is_no_connection() -> None:
    with connected_if(None) as cluster:
        assert cluster is None


@pytest.mark.ray
def test_what_is_no_ray_is_told_within_20_s() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ClusterError, match="did not answer as Ray does"), _join(address):
            pass


@pytest.mark.ray
def test_a_dead_head_and_a_cluster_that_is_too_small_end_a_command(nas, nodes) -> None:
    words = ("--ray", nodes.address, "--workers", "3")
    status, said = nas.run(*nas.search("small", *words))
    assert status == 2
    assert "too small: 3 workers with 1 CPUs each were asked for, and it has room for 1" in said
    nodes.kill()
    status, said = nas.run(*nas.search("dead", "--ray", nodes.address))
    assert status == 2
    assert f"No Ray cluster answers at '{nodes.address}'" in said
    assert not (nas.home / "dead").exists()


@pytest.mark.ray
def test_a_head_that_dies_is_noticed(local_ray, monkeypatch) -> None:
    import dataclasses

    local_ray.check_alive()
    lost = dataclasses.replace(local_ray, address=f"127.0.0.1:{_free_port()}")
    with pytest.raises(ClusterLostError, match="no longer answers"):
        lost.check_alive()


def _join(address: str, most: int | None = None):
    return connected(RayChoice(address, most=most))
