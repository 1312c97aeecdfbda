"""One named setting for the whole of PVCL and PAA.

`default` is one setting for every data set: nothing in it depends on the scale of the logits. `softmax-fusion` is the
same with eq. 12 (the maximum over patches, not the mean of the best two) and 13 as they are, at measured scales.
`agreement` is `default` with the weight of [CLS] learnt from the unlabelled images (`piaa.method.agreement`). The
published settings, tuned per data set, stay available by name for comparison.
"""

from __future__ import annotations

from typing import Any

from piaa.errors import InputError
from piaa.method.recipes import published
from piaa.method.recipes.by_agreement import AGREEMENT
from piaa.method.recipes.default import DEFAULT
from piaa.method.recipes.recipe import (
    MIN_BANK,
    FixedScales,
    OddsScales,
    Recipe,
    ScaleRule,
    Scales,
    SpreadScales,
)
from piaa.method.recipes.softmax_fusion import SOFTMAX_FUSION

__all__ = [
    "MIN_BANK", "RECIPES", "FixedScales", "OddsScales", "Recipe", "ScaleRule", "Scales", "SpreadScales", "get_recipe",
    "recipe_from_dict",
]  # fmt: skip

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (DEFAULT, AGREEMENT, SOFTMAX_FUSION, published.VOC, published.COCO, published.NUS)
}
"""By the name that `--recipe` takes; a new one is a file beside these and an entry here."""


def get_recipe(recipe: str | Recipe) -> Recipe:
    """A recipe by name, or the recipe itself.

    Raises:
        InputError: for an unknown name, listing those that exist.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise InputError(f"no recipe is called {recipe!r}; choose one of: {', '.join(RECIPES)}")
    return RECIPES[recipe]


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """The inverse of `Recipe.to_dict`."""
    plain = dict(values)
    rules = {rule.__name__: rule for rule in (FixedScales, SpreadScales, OddsScales)}
    rule = rules[plain.pop("scale_rule")]
    return Recipe(**{**plain, "scales": rule(**plain["scales"])})
