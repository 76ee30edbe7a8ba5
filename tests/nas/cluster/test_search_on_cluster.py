"""Searches by the program: nodes and drivers are killed, and the front is always the same."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import time
from pathlib import Path

import pytest

from nas.cluster.cleaner import processes_of

pytestmark = pytest.mark.ray


def _front(nas, out):
    return (nas.home / out / "front.json").read_text()


def _codes(nas, out):
    lines = (nas.home / out / "evaluations.jsonl").read_text().splitlines()
    return [tuple(json.loads(line)["code"]) for line in lines]


def test_two_nodes_one_killed_in_mid_search_find_what_one_process_finds(nas, nodes):
    nodes.add()
    process = nas.start(*nas.search("killed", "--ray", nodes.address, "--workers", "2"))
    nodes.wait_until_two_evaluate()
    process.send_signal(signal.SIGSTOP)  # it cannot finish before the node is gone
    nodes.kill_node()
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert _front(nas, "killed") == _front(nas, "whole")
    codes = _codes(nas, "killed")
    assert codes == _codes(nas, "whole")
    assert len(set(codes)) == 240
    (line,) = (nas.home / "killed" / "cluster.jsonl").read_text().splitlines()
    assert any("died" in failure for failure in json.loads(line)["failures"])


def test_a_killed_driver_leaves_nothing_and_resuming_finds_the_same(nas):
    process = nas.start(*nas.search("cut", "--ray", "local", "--workers", "2"))
    nas.wait_for_lines(process, "cut", 20)
    (folder,) = nas.temporary.glob("nas-ray-*")
    started = processes_of(str(folder))
    assert len(started) > 5
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while processes_of(str(folder)) or folder.exists():
        assert time.monotonic() < deadline, processes_of(str(folder))
        time.sleep(0.2)
    assert 20 <= len(_codes(nas, "cut")) < 240
    status, said = nas.run(*nas.search("cut", "--ray", "local", "--workers", "1"))
    assert status == 0, said
    assert _front(nas, "cut") == _front(nas, "whole")
    assert _codes(nas, "cut") == _codes(nas, "whole")


def test_local_ray_listens_on_loopback_alone_and_ends_with_an_interruption(nas):
    process = nas.start(*nas.search("stopped", "--ray", "local", "--workers", "2"))
    nas.wait_for_lines(process, "stopped", 5)
    (folder,) = nas.temporary.glob("nas-ray-*")
    ours = {process.pid, *processes_of(str(folder))}
    addresses = _listening(ours)
    assert len(addresses) >= 5  # the head, a node, an agent, two workers
    assert set(addresses) <= {"127.0.0.1", "::ffff:7f00:1"}  # the same in IPv6
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted. Continue with: nas resume stopped" in said
    assert not processes_of(str(folder))
    assert not folder.exists()


def _listening(processes: set[int]) -> list[str]:
    """The address of each socket that these processes listen on, from /proc."""
    sockets = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets.add(os.readlink(descriptor))
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(_address(fields[1].partition(":")[0]))
    return found


def _address(hexadecimal: str) -> str:
    """An address as the kernel writes it: words of four bytes, the last byte first."""
    words = [hexadecimal[i : i + 8] for i in range(0, len(hexadecimal), 8)]
    packed = b"".join(bytes.fromhex(word)[::-1] for word in words)
    return str(ipaddress.ip_address(packed))
