"""The systems that PIAA is compared with, one file each, as pure functions over towers and tensors.

Comes in: an image tower, normalised images, text prototypes. Goes out: scores N x C. So far TagCLIP, SPARC and
the losses of the trained ones, not yet known to the commands. Nothing that PIAA learns is imported here, and no file is
read.
"""
