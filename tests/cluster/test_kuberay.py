"""The KubeRay manifest: the fields that the operator needs, and what this project needs of them."""

from __future__ import annotations

import runpy
import shlex
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from piaa.cli.main import app
from piaa.cluster import parse_cluster

yaml = pytest.importorskip("yaml")
MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "kuberay.yaml"


def definition(**fields: Any) -> dict[str, Any]:
    """A definition of the operator's kind, with these fields in its spec."""
    spec = {"type": "object", "properties": fields}
    whole = {"type": "object", "properties": {name: {"type": "string"} for name in ("apiVersion", "kind")}}
    whole["properties"]["spec"] = spec  # type: ignore[index]
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": whole}}]
    return {"spec": {"group": "ray.io", "names": {"kind": "RayJob"}, "versions": versions}}


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    documents = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))
    assert len(documents) == 1
    return documents[0]  # type: ignore[no-any-return]


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_it_is_a_job_of_the_operator(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job) == {"apiVersion", "kind", "metadata", "spec"}
    assert job["metadata"]["name"].replace("-", "").isalnum()
    assert {"entrypoint", "rayClusterSpec", "backoffLimit", "shutdownAfterJobFinishes"} <= set(job["spec"])
    assert {"rayVersion", "headGroupSpec", "workerGroupSpecs"} == set(job["spec"]["rayClusterSpec"])


def test_groups_have_what_the_operator_needs(job: dict[str, Any]) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    assert {"rayStartParams", "template"} <= set(cluster["headGroupSpec"])
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in cluster["workerGroupSpecs"]:
        assert {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"} <= set(group)
        assert 0 < group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_containers_and_volumes_fit(job: dict[str, Any]) -> None:
    images = set()
    for pod in pods(job):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            images.add(container["image"])
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert set(container["resources"]["requests"]) == set(container["resources"]["limits"])
            assert all(isinstance(value, str) for value in container["resources"]["limits"].values())
        assert "/data" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert len(images) == 1, "Ray and piaa must be the same everywhere"


def test_the_command_is_one_of_the_program(job: dict[str, Any]) -> None:
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:2] == ["piaa", "tag"]
    command = get_command(app).commands["tag"]  # type: ignore[attr-defined]
    known = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert parse_cluster(words[words.index("--cluster") + 1]) == 0
    assert "--resume" in words


def test_the_version_of_ray_is_the_one_that_was_tried(job: dict[str, Any]) -> None:
    ray = pytest.importorskip("ray")
    assert job["spec"]["rayClusterSpec"]["rayVersion"].split(".")[0] == ray.__version__.split(".")[0]


def test_the_lint_finds_wrong_types_and_unknown_fields() -> None:
    pytest.importorskip("jsonschema")
    faults = runpy.run_path(str(MANIFEST.with_name("lint.py")))["faults"]
    port = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    limits = {"type": "object", "additionalProperties": port}
    anything = {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True}
    kind = definition(backoffLimit={"type": "integer"}, limits=limits, free=anything)
    spec = {"backoffLimit": 3, "limits": {"cpu": "4", "gpu": 1}, "free": {"x": 1}}
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "x"}, "spec": spec}
    assert faults(kind, job) == []
    bad = deepcopy(job)
    bad["spec"] |= {"backoffLimit": "three", "backofLimit": 3, "limits": {"cpu": 0.5}}  # type: ignore[operator]
    found = faults(kind, bad)
    assert sorted(line.partition(":")[0] for line in found) == ["spec", "spec/backoffLimit", "spec/limits/cpu"]
    assert any(line.startswith("spec: ") and "'backofLimit' was unexpected" in line for line in found)
    with pytest.raises(ValueError, match=r"not of RayJob in ray\.io/v2"):
        faults(kind, {**job, "apiVersion": "ray.io/v2"})
