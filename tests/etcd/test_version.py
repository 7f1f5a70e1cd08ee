from __future__ import annotations

import pytest

from gluon.etcd.version import parse_version, version_problem


@pytest.mark.parametrize("text", ["3.4.22", "3.4.23", "3.4.40", "3.5.6", "3.5.30", "3.6.0", "4.0.0"])
def test_versions_that_keep_what_they_acknowledge(text: str) -> None:
    assert version_problem(parse_version(text)) is None


@pytest.mark.parametrize("text", ["2.3.8", "3.3.27", "3.4.21", "3.5.0", "3.5.1", "3.5.5"])
def test_versions_that_may_lose_writes_are_named_with_what_to_use_instead(text: str) -> None:
    problem = version_problem(parse_version(text))

    assert problem is not None
    assert text in problem
    assert "3.4.22" in problem


def test_a_version_is_found_in_what_etcd_prints() -> None:
    assert parse_version("etcd Version: 3.4.23\nGit SHA: Not provided\nGo Version: go1.19.8\n") == (3, 4, 23)


def test_a_text_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no version"):
        parse_version("command not found")
