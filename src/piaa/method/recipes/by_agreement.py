"""The default with the weight of [CLS] learnt from the unlabelled images: docs/adaptive.md."""

from dataclasses import replace

from piaa.method.recipes.default import DEFAULT

AGREEMENT = replace(DEFAULT, name="agreement", weighting="agreement")
