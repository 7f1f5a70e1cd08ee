"""Whatever stands in a model's file: problems that say where, or a model that can be served."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gluon.model.catalog import load_catalog
from gluon.model.compiler import model_from_document
from gluon.model.model import Model
from gluon.model.tool import main
from gluon.particle.commands import command_descriptions
from gluon.particle.docs_page import docs_page
from gluon.particle.openapi import openapi_document
from gluon.particle.policies import policy_rules
from gluon.particle.tables import table_for
from gluon.particle.validators import ObjectValidator
from system.broken_models import texts
from system.effort import FACTOR, effort


@pytest.mark.timeout(300 * FACTOR)
@effort(100)
@given(files=st.lists(texts(), min_size=1, max_size=2))
def test_any_text_is_a_model_or_has_problems_with_their_places(files: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        service = Path(folder) / "made"
        service.mkdir()
        for number, content in enumerate(files):
            (service / f"{number}.yaml").write_bytes(content)
        catalog = load_catalog(Path(folder), bundled=False)
        checked = CliRunner().invoke(main, ["check", str(service), "--models", folder, "--format", "json"])
    problems = [p for found in catalog.problems.values() for p in found]
    for problem in problems:
        assert problem.line >= 1 and problem.column >= 1
        assert Path(problem.path).is_relative_to(folder)
        assert "\n" not in str(problem)
        str(problem).encode()
    for versions in catalog.services.values():
        for model in versions:
            can_be_served(model)
    # 0 or 1, by the tool's own decision: what it did not foresee would be another exception.
    assert isinstance(checked.exception, SystemExit | None), checked.exception
    assert checked.exit_code in (0, 1)


def can_be_served(model: Model) -> None:
    """Everything that a server derives from a model can be derived from this one."""
    assert model_from_document(model.document) == model
    openapi_document(model, "http://127.0.0.1:2705")
    docs_page(model, "http://127.0.0.1:2705")
    command_descriptions(model)
    policy_rules(model)
    for api_object in model.objects.values():
        table_for(model, api_object)
        ObjectValidator(api_object)
