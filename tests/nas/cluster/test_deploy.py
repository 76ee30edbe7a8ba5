"""The files in docs/cluster/ have the fields that KubeRay and `ray up` know."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]

# Fields of ray.io/v1 in KubeRay's API reference (docs/reference/api.md of its repository).
JOB = {
    "entrypoint": str,
    "shutdownAfterJobFinishes": bool,
    "backoffLimit": int,
    "rayClusterSpec": dict,
}
CLUSTER = {
    "rayVersion": str,
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": dict,
    "headGroupSpec": dict,
    "workerGroupSpecs": list,
}
HEAD = {"rayStartParams": dict, "template": dict}
GROUP = {
    **HEAD,
    "groupName": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
}


def _has(found: dict[str, object], fields: dict[str, type]) -> None:
    assert found.keys() <= fields.keys()
    for name, value in found.items():
        assert isinstance(value, fields[name]), name


def test_the_kuberay_manifest_has_fields_that_kuberay_knows() -> None:
    found = yaml.safe_load((ROOT / "docs/cluster/kuberay.yaml").read_text())
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", "RayJob")
    job = found["spec"]
    _has(job, JOB)
    cluster = job["rayClusterSpec"]
    _has(cluster, CLUSTER)
    assert cluster["autoscalerOptions"].keys() == {"idleTimeoutSeconds"}
    _has(cluster["headGroupSpec"], HEAD)
    for group in cluster["workerGroupSpecs"]:
        _has(group, GROUP)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] == "IMAGE"
    assert json.loads(json.loads(groups[2]["rayStartParams"]["resources"])) == {"hardware_a100": 1}
    assert job["entrypoint"].startswith("nas search --ray auto ")


def test_the_file_of_ray_up_fits_rays_own_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the extra 'ray' is not installed")
    ray = find_spec("ray")
    if ray is None or ray.origin is None:
        pytest.skip("the extra 'ray' is not installed")
    schema = Path(ray.origin).parent / "autoscaler" / "ray-schema.json"
    found = yaml.safe_load((ROOT / "docs/cluster/ray-up.yaml").read_text())
    jsonschema.validate(found, json.loads(schema.read_text()))
    assert found["head_node_type"] in found["available_node_types"]
