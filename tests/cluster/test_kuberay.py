"""The KubeRay manifest: the fields that the operator needs, and what this project needs of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from piaa.cli.main import app
from piaa.cluster import parse_cluster

yaml = pytest.importorskip("yaml")
MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "kuberay.yaml"


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
