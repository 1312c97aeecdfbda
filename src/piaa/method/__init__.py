"""The paper in pure tensors: what is learnt from patches (PVCL), and how it scores an image (PAA).

Comes in: embeddings of patches and of [CLS], text prototypes, a recipe. Goes out: a classifier over patches, scores,
thresholds. Nothing of piaa but `piaa.errors` is imported here: no images, no models, no files.
"""
