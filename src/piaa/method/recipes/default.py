"""One setting for every data set; what each part is worth: docs/ablations.md."""

from piaa.method.recipes.recipe import OddsScales, Recipe

DEFAULT = Recipe("default", bank_share=0.05, background=1.0, scales=OddsScales(), aggregator="mean-top-2")
