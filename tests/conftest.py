"""What holds for all tests: a test that fails says how to run it alone."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.append(("to run it alone", f"make unit TEST='{report.nodeid}'"))
    return report
