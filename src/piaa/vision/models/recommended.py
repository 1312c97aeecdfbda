"""Which model for which purpose, by what others have published. Nothing here was measured by this project."""

from __future__ import annotations

from dataclasses import dataclass

RESULTS = "open_clip, docs/openclip_results.csv (June 2026)"
MULTILINGUAL = "open_clip, docs/openclip_multilingual_retrieval_results.csv (June 2026)"
SIGLIP_2 = "SigLIP 2, arXiv:2502.14786, table in big_vision's README_siglip2.md"


@dataclass(frozen=True)
class Recommended:
    """One recommendation.

    Attributes:
        purpose: what for.
        model: for `--model`.
        pretrained: for `--pretrained`.
        published: the figures, as published, for whole images and not for many labels an image.
        source: who published them.
        remark: what to know beside them.
    """

    purpose: str
    model: str
    pretrained: str
    published: str
    source: str
    remark: str


RECOMMENDED: tuple[Recommended, ...] = (
    Recommended(
        "photographs on a CPU",
        "ViT-B-16",
        "datacomp_xl_s13b_b90k",
        "ImageNet zero-shot 73.5%, mean of 38 data sets 61.5%; 41 GFLOPs",
        RESULTS,
        "English; no further package",
    ),
    Recommended(
        "photographs on a weak CPU",
        "ViT-B-32-256",
        "datacomp_s34b_b86k",
        "ImageNet zero-shot 72.8%, mean of 38 data sets 60.9%; 17 GFLOPs",
        RESULTS,
        "English; only 8 x 8 patches, so small objects are lost sooner",
    ),
    Recommended(
        "best accuracy, with a GPU",
        "ViT-H-14-378-quickgelu",
        "dfn5b",
        "ImageNet zero-shot 84.4%, mean of 38 data sets 70.8%; 1,054 GFLOPs",
        RESULTS,
        "English; 987 million parameters",
    ),
    Recommended(
        "accuracy and many languages, with a GPU",
        "ViT-SO400M-16-SigLIP2-384",
        "webli",
        "ImageNet zero-shot 84.1%, COCO text to image recall@1 56.0%",
        SIGLIP_2,
        "needs the package transformers for its tokenizer; 1.1 billion parameters; not tried here",
    ),
    Recommended(
        "many languages, on a CPU",
        "ViT-B-16-SigLIP2",
        "webli",
        "ImageNet zero-shot 78.2%, COCO text to image recall@1 52.1%",
        SIGLIP_2,
        "needs the package transformers for its tokenizer; not tried here",
    ),
    Recommended(
        "200 languages, rare ones too",
        "nllb-clip-large-siglip",
        "mrl",
        "multilingual retrieval, column avg: 0.784, the best of that table",
        MULTILINGUAL,
        "needs the package transformers; not tried here; its smaller sister nllb-clip-base-siglip has 0.749",
    ),
    Recommended(
        "what the paper used, to compare",
        "ViT-B-16",
        "openai",
        "ImageNet zero-shot 68.3%, mean of 38 data sets 56.3%; 41 GFLOPs",
        RESULTS,
        "English",
    ),
)
"""The surest choice of a purpose first."""
