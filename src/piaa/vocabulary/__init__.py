"""From words to prototypes: label files and lists become `Label`s, and each label one unit-length text embedding.

Comes in: class names, synonyms, prompt templates, and anything with `encode_text`. Goes out: labels and prototypes
C x d. No image and no learnt value is known here.
"""
