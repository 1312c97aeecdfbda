"""From whatever a user calls images to batches of tensors.

Comes in: folders, files, globs, arrays, tensors, streams of them. Goes out: `Item`s, each one image that is not
decoded yet, and `Batch`es. Of `piaa.vision` only the preprocessing is known here; nothing that is learnt is.
"""
