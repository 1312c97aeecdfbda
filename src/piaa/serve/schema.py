"""What goes over the wire, as the OpenAPI page shows it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_MAPS = 8
"""Labels of one image that get a heat map."""


class Options(BaseModel):
    """What a client may ask for, beside its images."""

    model_config = ConfigDict(extra="forbid")

    classifier: str | None = Field(None, description="Which classifier; may be left out where there is one.")
    labels: list[str] | None = Field(
        None, min_length=1, description="Only these classes. Scores are the same as with all classes."
    )
    top_k: int | None = Field(None, ge=1, le=100_000, description="Also list so many best classes, decided or not.")
    thresholds: str = Field("learnt", description="A named set of thresholds of the service.")
    heat_maps: Literal["none", "overlay", "values"] = Field(
        "none",
        description="A PNG for each of the image's labels and of `top`, 8 at most: `overlay` is the picture under its "
        "map, `values` has a pixel a patch, grey, 255 is a probability of 1.",
    )
    embeddings: bool = Field(False, description="Add the image's [CLS] embedding, of length 1.")
    scores: bool = Field(False, description="Add the calibrated score of every class.")


class PictureIn(BaseModel):
    """One image in a JSON request."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(description="The bytes of an image file in base64.")
    name: str | None = Field(None, max_length=1000, description="Comes back in the answer; never opened.")


class TagIn(Options):
    """A JSON request."""

    images: list[PictureIn] = Field(min_length=1)


class LabelOut(BaseModel):
    """A label of an image, with its calibrated score, 0 to 1; 0.5 is the threshold."""

    label: str
    score: float


class TopOut(LabelOut):
    """One of the best classes of an image."""

    decided: bool = Field(description="Whether the image has this label.")


class HeatMaps(BaseModel):
    """Where labels were seen."""

    region: list[float] = Field(
        min_length=4, max_length=4, description="What the model saw: left, top, right, bottom in shares of the image."
    )
    png: dict[str, str] = Field(description="Label to a PNG in base64.")


class FaultOut(BaseModel):
    """Why there is no answer."""

    code: str
    reason: str


class ImageOut(BaseModel):
    """The answer for one image, in the order of the request. Either `labels` or `error` is null."""

    name: str
    labels: list[LabelOut] | None = Field(description="What `piaa tag` gives, the surest first.")
    error: FaultOut | None = None
    foreign: bool | None = Field(
        None, description="The image is unlike those that the classifier was learnt from, so it has no label."
    )
    top: list[TopOut] | None = None
    scores: dict[str, float] | None = None
    embedding: list[float] | None = None
    heat_maps: HeatMaps | None = None


class ClassifierOut(BaseModel):
    """Which classifier answered."""

    name: str
    fingerprint: str = Field(description="Changes with anything that changes a score or a decision.")


class TagOut(BaseModel):
    """The answer of `/v1/tag`. Status 422 with this body: none of the images could be used."""

    classifier: ClassifierOut
    images: list[ImageOut]


class RefusalOut(BaseModel):
    """A request that was refused as a whole."""

    error: FaultOut


class LabelsOut(ClassifierOut):
    """The classes of a classifier, and its sets of thresholds."""

    labels: list[str]
    thresholds: list[str]


class HealthOut(BaseModel):
    """The process answers."""

    status: Literal["ok"]
    version: str


class ReadyClassifier(ClassifierOut):
    """A classifier in use."""

    labels: int
    loaded_at: float = Field(description="Seconds since 1970.")
    reload_error: str | None = Field(description="Why the file as it is now is not used; the one before still is.")


class ReadyOut(BaseModel):
    """Whether requests are taken."""

    ready: bool
    classifiers: list[ReadyClassifier]


def request_body() -> dict[str, Any]:
    """Both kinds of request body of `/v1/tag` for the OpenAPI page."""
    form = Options.model_json_schema()
    form["properties"]["image"] = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "format": "binary"},
        "description": "Image files.",
    }
    form["required"] = ["image"]
    form["title"] = "TagForm"
    whole = TagIn.model_json_schema()
    picture = whole.pop("$defs")["PictureIn"]
    whole["properties"]["images"]["items"] = picture
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": whole}}
    return {"required": True, "content": content}
