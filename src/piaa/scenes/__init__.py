"""Drawn scenes with ground truth: the world of the embedded model and of the benchmark.

Comes in: a seed. Goes out: images, the truth about them, and (`piaa.scenes.demo`) one whole run on them. The command
line and the reports must never be imported here. A scene is a function of (seed, split, index) alone, in relative
coordinates, and can be rendered at any size.
"""

from piaa.scenes.catalogue import COLOURS, OBJECTS, object_names
from piaa.scenes.draw import render
from piaa.scenes.sample import Placed, Scene, sample_scene

__all__ = ["COLOURS", "OBJECTS", "Placed", "Scene", "object_names", "render", "sample_scene"]
