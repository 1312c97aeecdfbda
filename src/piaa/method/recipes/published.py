"""The settings of the published code, tuned for each data set."""

from piaa.method.recipes.recipe import FixedScales, Recipe


def _published(name: str, purify_scale: float, cls: float, patch: float) -> Recipe:
    scales = FixedScales(inference=1 / 500, patch=patch, cls=cls)
    return Recipe(f"published-{name}", purifier="threshold", purify_scale=purify_scale, scales=scales)


VOC = _published("voc", purify_scale=100.0, cls=80.0, patch=200.0)
COCO = _published("coco", purify_scale=0.01, cls=80.0, patch=400.0)
NUS = _published("nus", purify_scale=500.0, cls=10.0, patch=400.0)
