"""Features of real videos, measured once: kept in the cache folder by all that shapes them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.pretrained import usable_cache_folder

logger = logging.getLogger(__name__)


def cached_path(record: Mapping[str, Any]) -> Path | None:
    """File of the features with a record; None if the cache folder cannot be used.

    Args:
        record: All that shapes the features: what is left out is what two different runs would wrongly share.
    """
    cache = usable_cache_folder()
    name = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:20]
    return None if cache is None else cache / "real_features" / f"{name}.safetensors"


def load_cached(record: Mapping[str, Any], count: int) -> ClipFeatures | None:
    """Features with exactly this record, of all `count` clips; None if there are none. A damaged file is logged."""
    path = cached_path(record)
    if path is None or not path.is_file():
        return None
    try:
        features = ClipFeatures.load(path)
    except InvalidArgumentError as error:  # a cache: whatever is wrong with it, it can be computed again
        logger.warning("%s %s; it is computed again", path, error.problem)
        return None
    return features if features.record == record and len(features) == count else None


def keep(features: ClipFeatures, count: int) -> None:
    """Write features to the cache if they are of all `count` clips.

    A part is not kept: the run was limited, or videos broke.
    """
    path = cached_path(features.record)
    if path is not None and len(features) == count:
        try:
            features.save(path)
        except OSError as error:
            logger.warning("%s cannot be written (%s); it will be computed again", path, error)
