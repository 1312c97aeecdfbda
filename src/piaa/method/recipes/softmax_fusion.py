"""The default with eq. 12 (the maximum over patches) and 13 as they are in the paper, at measured scales."""

from piaa.method.recipes.recipe import Recipe, SpreadScales

SOFTMAX_FUSION = Recipe("softmax-fusion", bank_share=0.05, background=1.0, scales=SpreadScales())
