"""Hold a manifest against the schema of the operator that will read it: wrong types, and fields that it does not know.

    python deploy/lint.py ray.io_rayjobs.yaml deploy/kuberay.yaml

The first file is the operator's custom resource definition, from ray-operator/config/crd/bases of KubeRay's repository
or from `kubectl get crd rayjobs.ray.io -o yaml`. A cluster drops unknown fields without a word; here each is a fault.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator


def faults(definition: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    """Where the manifest does not fit, each as `place: what`.

    Raises:
        ValueError: the definition is of another kind or version.
    """
    spec, (group, _, version) = definition["spec"], manifest["apiVersion"].partition("/")
    found = [each for each in spec["versions"] if each["name"] == version]
    if spec["group"] != group or spec["names"]["kind"] != manifest["kind"] or not found:
        raise ValueError(f"the definition is not of {manifest['kind']} in {manifest['apiVersion']}")
    schema = _strict(found[0]["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"metadata": {"type": "object"}}  # the cluster's own, the same for all kinds
    errors = Draft202012Validator(schema).iter_errors(manifest)
    return sorted(f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors)


def _strict(schema: Any) -> Any:
    """The schema with what Kubernetes means by its own keywords, and no fields but those named."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(part) for name, part in schema.items()}
    if made.get("x-kubernetes-int-or-string") is True:
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    open_ended = made.get("x-kubernetes-preserve-unknown-fields") is True or "additionalProperties" in made
    if made.get("type") == "object" and "properties" in made and not open_ended:
        made["additionalProperties"] = False
    return made


def main() -> None:
    """Print the faults; exit code 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("definition", type=Path)
    parser.add_argument("manifest", type=Path)
    chosen = parser.parse_args()
    definition, manifest = (
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in (chosen.definition, chosen.manifest)
    )
    found = faults(definition, manifest)
    print("\n".join([*found, f"{len(found)} faults"]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
