from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import DOCS, PROJECT
from gluon.proton import options as proton
from gluon.shim import options as shim

SETTINGS = sorted(
    {
        (file, str(group), option.dest)
        for file, module in (("proton.conf", proton), ("proton-shim.conf", shim))
        for group, options in module.list_opts()
        for option in options
    }
)


@pytest.mark.parametrize(("file", "group", "setting"), SETTINGS)
def test_every_setting_is_documented(file: str, group: str, setting: str) -> None:
    text = (DOCS / "operations.md").read_text()
    section = re.search(rf"^### `{re.escape(file)}`$(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, f"docs/operations.md has no section on {file}"
    assert re.search(rf"^\| `\[{group}\]` \| `{setting}` \|", section[1], re.MULTILINE), (
        f"docs/operations.md says nothing of [{group}] {setting} of {file}"
    )


@pytest.mark.parametrize("sample", ["proton.conf.sample", "proton-shim.conf.sample"])
def test_samples_are_up_to_date(tmp_path: Path, sample: str) -> None:
    script = PROJECT / "scripts" / "sample_configs.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    assert (tmp_path / sample).read_text() == (DOCS / sample).read_text(), (
        f"docs/{sample} is old: run make docs"
    )
