"""What tests read in place because it is not the project's to copy: models and YANG of other projects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def upstream_models() -> Path:
    """The folder with the models of the upstream project; see `shared_folder`."""
    return shared_folder("upstream-models", "upstream's models are")


def shared_folder(name: str, subject: str) -> Path:
    """A folder of $GLUON_SHARED, else of `shared` beside the project.

    Without it the test is skipped, or fails where the variable CI is set, with a sentence that begins with
    `subject`.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("GLUON_SHARED") or beside) / name
    if folder.is_dir():
        return folder
    sentence = f"{subject} not at {folder}; set GLUON_SHARED to the folder that holds {name}"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
