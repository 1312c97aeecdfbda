"""piaa: multi-label image recognition that needs no training and no labels."""

__version__ = "0.1.0"
