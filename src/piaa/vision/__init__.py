"""From an image to its embeddings: preprocessing, models, towers, front-ends, and the engines that run them.

Comes in: a PIL image, or a batch N x 3 x H x W. Goes out: `Encoded`, the [CLS] embedding and the patch embeddings of
each image. `piaa.method` must never be imported here, nor the other way round.
"""
