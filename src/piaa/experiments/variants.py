"""What an ablation changes, as data: the `change` of a line in `specs/ablations.toml` becomes a `Variant`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from piaa.errors import InputError
from piaa.method.recipes import FixedScales, OddsScales, Recipe, SpreadScales


@dataclass(frozen=True)
class Variant:
    """PIAA with something changed; every field's default is the method as it is.

    Attributes:
        recipe: its numbers, aggregator and purifier.
        front_end: of the patches; None is the line's own.
        templates: a name of `piaa.vocabulary.prototypes.TEMPLATE_SETS`.
        sizes: image sizes in units of the model's own; the patches of all of them are one image's patches.
        smoothing: share of a patch that its neighbours' mean takes over, 0 to 1.
        learn_plain: whether `sizes` and `smoothing` are for tagging alone.
        share: soft membership: a patch is offered to each class with so great a part of its best probability; 1 is
            the best class alone.
        gate: weight of the image's [CLS] logits in the probabilities of stage I.
        harvest_standardised: whether stage I standardises each class's text logits over all patches.
        harvests: passes over the patches; from the second on the learnt classifier fills the banks.
        rounds: of purification.
        keep: share of a class that a round keeps.
        responsibility: stage III weighs each patch for each class by softmax(this / spread * y); 0: one class a patch.
        covariance: `bank`: of the kept patches about their means, eq. 9; `all`: of all unlabelled patches.
        shrinkage: share of the identity in the covariance; None is eq. 10.
        prior: weight of log(class share in the bank) in the bias, eq. 4.
        text: weight of the text logits beside the learnt ones in eq. 11, both in units of their spread.
        standardise_patches: whether each class's patch logits are standardised over all unlabelled patches.
        standardise_cls: the same for the [CLS] logits.
        standardise_fusion: whether eq. 13 adds scores standardised per class over the sampled images.
    """

    recipe: Recipe
    front_end: str | None = None
    templates: str = "published"
    sizes: tuple[float, ...] = (1.0,)
    smoothing: float = 0.0
    learn_plain: bool = False
    share: float = 1.0
    gate: float = 0.0
    harvest_standardised: bool = False
    harvests: int = 1
    rounds: int = 1
    keep: float = 0.5
    responsibility: float = 0.0
    covariance: str = "bank"
    shrinkage: float | None = None
    prior: float = 0.0
    text: float = 0.0
    standardise_patches: bool = False
    standardise_cls: bool = False
    standardise_fusion: bool = False

    @property
    def plain_views(self) -> Variant:
        """With the image seen once, at the model's size, unsmoothed."""
        return replace(self, sizes=(1.0,), smoothing=0.0)


RECIPE_FIELDS = {field.name for field in fields(Recipe)} - {"name", "scales"}
SCALE_FIELDS = {field.name for field in fields(SpreadScales)}
OWN_FIELDS = {field.name for field in fields(Variant)} - {"recipe"}


def variant_of(change: Mapping[str, Any], recipe: Recipe) -> Variant:
    """The variant that a line's `change` describes.

    Args:
        change: fields of `Variant`, of `Recipe` (`alpha`, `aggregator`, ...) and of `SpreadScales` (`inference`,
            `patch`, `cls`), by name.
        recipe: what is not changed.

    Raises:
        InputError: a name that is none of these, or a scale of a recipe whose scales are fixed.
    """
    unknown = change.keys() - RECIPE_FIELDS - SCALE_FIELDS - OWN_FIELDS
    if unknown:
        known = ", ".join(sorted(RECIPE_FIELDS | SCALE_FIELDS | OWN_FIELDS))
        raise InputError(f"an ablation cannot change {', '.join(sorted(unknown))}; it can change: {known}")
    scales = {name: value for name, value in change.items() if name in SCALE_FIELDS}
    if scales and isinstance(recipe.scales, FixedScales):
        raise InputError(f"recipe {recipe.name} has fixed scales; {', '.join(scales)} can be changed in others only")
    rule = replace(recipe.scales, **scales) if isinstance(recipe.scales, SpreadScales | OddsScales) else recipe.scales
    numbers = {name: value for name, value in change.items() if name in RECIPE_FIELDS}
    own = {name: value for name, value in change.items() if name in OWN_FIELDS}
    if "sizes" in own:
        own["sizes"] = tuple(own["sizes"])
    return Variant(replace(recipe, scales=rule, **numbers), **own)
