"""The default with the fixed weight of [CLS], alpha = 0.9 of eq. 13: it was the default before docs/adaptive.md."""

from piaa.method.recipes.recipe import OddsScales, Recipe

FIXED_FUSION = Recipe("fixed-fusion", bank_share=0.05, background=1.0, scales=OddsScales(), aggregator="mean-top-2")
