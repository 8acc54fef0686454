"""Settings from environment variables, typed and in one place.

``STCG_MODEL`` names the model. The original study's flags still work: ``USE_MOCK_MODEL=1`` selects the mock;
``STCG_FORCE_REAL=1`` selects a real checkpoint (``STCG_MODEL`` if that names one, else `DEFAULT_REAL`) and overrides
``USE_MOCK_MODEL``. ``STCG_IMAGE_PATH`` is the notebooks' image, ``STCG_SEED`` their seed. ``STCG_DEVICE``, ``STCG_DTYPE``,
``STCG_QUANTISATION`` and ``STCG_REVISION`` set how a checkpoint is loaded.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stcg_nb.errors import invalid

DEFAULT_REAL = "Salesforce/blip2-flan-t5-xl"

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantisation = Literal["none", "8bit", "4bit"]


class Settings(BaseSettings):
    """The settings in the environment.

    Raises:
        InputError: If a value is invalid; the message names the variable and its valid values.

    >>> Settings(use_mock_model=True).model_name
    'mock'
    >>> Settings(use_mock_model=True, force_real=True).model_name
    'Salesforce/blip2-flan-t5-xl'
    """

    model_config = SettingsConfigDict(env_prefix="STCG_", populate_by_name=True, frozen=True, env_ignore_empty=True)

    model: str = "tiny"
    use_mock_model: bool = Field(default=False, validation_alias="USE_MOCK_MODEL")
    force_real: bool = False
    image_path: str | None = None
    device: str = "auto"
    dtype: Dtype = "auto"
    quantisation: Quantisation = "none"
    revision: str | None = None
    seed: int = Field(default=0, ge=0)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise invalid(error, name if name.isupper() else f"STCG_{name.upper()}") from None

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
            raise ValueError("valid are 'auto', 'cpu', 'cuda', 'cuda:0' and so on, 'mps'")
        return device

    @property
    def model_name(self) -> str:
        """The name of the model that the flags together select."""
        if self.force_real:
            return DEFAULT_REAL if self.model in ("tiny", "mock") else self.model
        return "mock" if self.use_mock_model else self.model
