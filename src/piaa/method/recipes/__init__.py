"""One named setting for the whole of PVCL and PAA.

`default` is one setting for every data set: nothing in it depends on the scale of the logits, and the weight of [CLS]
is learnt from the unlabelled images (`piaa.method.agreement`). `fixed-fusion` is the same with alpha = 0.9,
`softmax-fusion` with eq. 12 (the maximum over patches, not the mean of the best two) and 13 as they are, at measured
scales. The published settings, tuned per data set, stay available by name for comparison.
"""

from __future__ import annotations

from typing import Any

from piaa.errors import InputError
from piaa.method.recipes import published
from piaa.method.recipes.default import DEFAULT
from piaa.method.recipes.fixed_fusion import FIXED_FUSION
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
    "AUTO",
    "MIN_BANK",
    "RECIPES",
    "FixedScales",
    "OddsScales",
    "Recipe",
    "ScaleRule",
    "Scales",
    "SpreadScales",
    "candidates_of",
    "get_recipe",
    "recipe_from_dict",
]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (DEFAULT, FIXED_FUSION, SOFTMAX_FUSION, published.VOC, published.COCO, published.NUS)
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
        raise InputError(f"no recipe is called {recipe!r}; choose one of: {', '.join([*RECIPES, AUTO])}")
    return RECIPES[recipe]


AUTO = "auto"
"""In place of a recipe: whichever of them the unlabelled images speak for (`piaa.method.reliability`)."""


def candidates_of(recipe: str | Recipe) -> list[Recipe]:
    """The recipes that a fit may choose among: the one that is named, or for `auto` all, the default first.

    Raises:
        InputError: for an unknown name, listing those that exist.
    """
    return list(RECIPES.values()) if recipe == AUTO else [get_recipe(recipe)]


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """The inverse of `Recipe.to_dict`."""
    plain = dict(values)
    rules = {rule.__name__: rule for rule in (FixedScales, SpreadScales, OddsScales)}
    rule = rules[plain.pop("scale_rule")]
    return Recipe(**{**plain, "scales": rule(**plain["scales"])})
