"""One setting for every data set; what each part is worth: docs/ablations.md, docs/adaptive.md."""

from dataclasses import replace

from piaa.method.recipes.fixed_fusion import FIXED_FUSION

DEFAULT = replace(FIXED_FUSION, name="default", background_spread=0.25, weighting="agreement", text_prior=1.3)
