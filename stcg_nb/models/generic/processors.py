"""Load a checkpoint's tokenizer, image processor and processor, always with the PIL backend and never with torchvision.

torchvision's and PIL's pixels differ a little, so one backend everywhere keeps numbers comparable. transformers' processors of
models that also read videos need torchvision for their video processor alone; they are built without one.
"""

from __future__ import annotations

from typing import Any

import transformers
from PIL import Image
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.processing_utils import ProcessorMixin

from stcg_nb.errors import ModelError

ALIKE = {
    "SmolVLMProcessor": "Idefics3Processor"
}  # the same for pictures; SmolVLM's own needs num2words to count frames


class Listener:
    """A tokenizer that keeps the last text it was given, with which a processor has put in its marks of the image.

    >>> heard = Listener(lambda text, **_: {"input_ids": [len(text[0])]})
    >>> heard(["ab"], padding=True), heard.text, heard.options
    ({'input_ids': [2]}, 'ab', {'padding': True})
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.text, self.options = tokenizer, "", dict[str, Any]()

    def __call__(self, text: Any, **options: Any) -> Any:
        self.text, self.options = (text if isinstance(text, str) else text[0]), options
        return self.tokenizer(text, **options)

    def __getattr__(self, name: str) -> Any:
        if name == "tokenizer":  # a copy that is being made has none yet
            raise AttributeError(name)
        return getattr(self.tokenizer, name)


class MarkedRows:
    """The processor of Pixtral and Mistral 3, whose own module needs torchvision: each row of image tokens ends with a mark."""

    def __init__(
        self, image_processor: Any, tokenizer: Any, patch_size: int, spatial_merge_size: int = 1, **marks: Any
    ) -> None:
        self.image_processor, self.tokenizer, self.chat_template = (
            image_processor,
            tokenizer,
            marks.get("chat_template"),
        )
        self.side = patch_size * spatial_merge_size  # of an image token, in pixels of the scaled picture
        self.image_token = marks.get("image_token", "[IMG]")
        self._row_end, self._end = (
            marks.get("image_break_token", "[IMG_BREAK]"),
            marks.get("image_end_token", "[IMG_END]"),
        )

    def __call__(self, images: Any, text: list[str], return_tensors: str, **options: Any) -> dict[str, Any]:
        size = {"height": self.side, "width": self.side}  # sides of the scaled picture are multiples of it
        seen = dict(self.image_processor(images=[i for [i] in images], return_tensors=return_tensors, patch_size=size))
        marked = []
        for part, size in zip(text, seen["image_sizes"], strict=True):
            rows, cols = (int(s) // self.side for s in size)
            row = self.image_token * cols
            marked.append(part.replace(self.image_token, (row + self._row_end) * (rows - 1) + row + self._end))
        return {**seen, **self.tokenizer(marked, return_tensors=return_tensors, **options)}


def load_processor(source: str, model_type: str, **options: Any) -> Any:
    """The processor of a checkpoint.

    Args:
        source: A folder or hub id.
        model_type: Of its config.
        options: For ``from_pretrained``.

    Raises:
        ModelError: If the checkpoint's processor or image processor is not in transformers or needs torchvision.
    """
    tokenizer = Listener(transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options))
    images = _image_processor(source, model_type, **options)
    settings, _ = ProcessorMixin.get_processor_dict(source, **options)
    name = settings.get("processor_class") or PROCESSOR_MAPPING_NAMES.get(model_type)
    if name == "PixtralProcessor":
        settings.setdefault("patch_size", 16)
        return MarkedRows(images, tokenizer, **{k: v for k, v in settings.items() if k != "image_processor"})
    own: Any = getattr(transformers, ALIKE.get(str(name), str(name)), None)
    if own is None or getattr(own, "is_dummy", False):
        raise ModelError(
            f"{source} has the processor {name}, which transformers {transformers.__version__} lacks or offers with torchvision "
            "alone; there is no other way to prepare its pictures."
        )
    parts = {"image_processor": images, "tokenizer": tokenizer}

    class ImageOnly(own):
        """The processor without what it needs for videos and sound."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> None:
            """Nothing to check: the parts may be missing or wrapped."""

        @classmethod
        def _get_arguments_from_pretrained(cls, *_: Any, **__: Any) -> list[Any]:
            return [parts.get(part) for part in own.get_attributes()]

    ImageOnly.__name__ = own.__name__
    return ImageOnly.from_pretrained(source, **options)


def _image_processor(source: str, model_type: str, **options: Any) -> Any:
    """The image processor of a checkpoint, by PIL."""
    settings, _ = ImageProcessingMixin.get_image_processor_dict(source, **options)
    name = settings.get("image_processor_type")
    if not name:
        known = IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type, {})
        name = known.get("pil") if isinstance(known, dict) else known[0]
    base = str(name).removesuffix("Pil").removesuffix("Fast")
    own = getattr(transformers, f"{base}Pil", None)
    if own is None or getattr(own, "is_dummy", False):
        raise ModelError(
            f"{source} prepares its pictures with {base}, of which transformers {transformers.__version__} has no version without "
            "torchvision; another version of transformers may have one."
        )
    return own.from_pretrained(source, **options)


def prepared(processor: Any, image: Any, text: str, **options: Any) -> dict[str, Any]:
    """The network's inputs for one image, uint8 ``[height, width, 3]``, and one prompt; every tensor begins with one row."""
    bos = processor.tokenizer.bos_token
    if bos and text.startswith(bos):  # a chat template writes it already
        options = {**options, "add_special_tokens": False}
    batch = processor(images=[[Image.fromarray(image)]], text=[text], return_tensors="pt", **options)
    return {k: v for k, v in dict(batch).items() if v is not None}
