"""Classifier files to and from a model hub, and weights fetched ahead of time, all through huggingface_hub.

Comes in: a classifier, or a name `hf-hub:OWNER/NAME`. Goes out: a repository with the file and its card, or the file in
the cache of this machine. Nothing but safetensors is read.
"""

from piaa.hub.fetch import pull
from piaa.hub.names import PREFIX, HubName, parse_hub_name
from piaa.hub.upload import Pushed, push

__all__ = ["PREFIX", "HubName", "Pushed", "parse_hub_name", "pull", "push"]
