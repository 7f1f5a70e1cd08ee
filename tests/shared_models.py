"""Where the upstream project's own models lie, which tests read in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def upstream_models() -> Path:
    """The folder with upstream's models: in $GLUON_SHARED, else in `shared` beside the project.

    Without it the test is skipped, or fails where the variable CI is set.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("GLUON_SHARED") or beside) / "upstream-models"
    if folder.is_dir():
        return folder
    sentence = (
        f"upstream's models are not at {folder}; set GLUON_SHARED to the folder that holds upstream-models"
    )
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
