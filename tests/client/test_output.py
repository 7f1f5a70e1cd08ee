"""What commands print, in each format."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import yaml

from gluon.client.output import FORMATS, Output

PORT = {"id": "p1", "name": "Zürich", "mtu": 1500, "up": True, "profile": None}
NAMES = tuple(PORT)


def shown(capsys: pytest.CaptureFixture[str], output: Output, document: dict[str, Any]) -> str:
    output.show(document)
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], output: Output, documents: list[dict[str, Any]]) -> str:
    names = output.columns or NAMES
    output.show_list("ports", documents, names, names)
    return capsys.readouterr().out


def test_json_is_the_apis_own_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, Output("json"), PORT)) == PORT
    assert json.loads(listed(capsys, Output("json"), [PORT, PORT])) == {"ports": [PORT, PORT]}
    assert json.loads(listed(capsys, Output("json"), [])) == {"ports": []}


def test_yaml_is_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert yaml.safe_load(shown(capsys, Output("yaml"), PORT)) == PORT
    assert yaml.safe_load(listed(capsys, Output("yaml"), [PORT])) == {"ports": [PORT]}


def test_columns_choose_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(json.loads(shown(capsys, Output("json", ("mtu", "id")), PORT))) == ["mtu", "id"]
    assert json.loads(listed(capsys, Output("json", ("mtu",)), [PORT])) == {"ports": [{"mtu": 1500}]}


def test_csv_has_a_line_of_names_and_quotes_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = listed(capsys, Output("csv"), [PORT | {"name": 'a "b", c\nd'}])
    assert list(csv.reader(io.StringIO(text))) == [list(NAMES), ["p1", 'a "b", c\nd', "1500", "true", ""]]


def test_an_empty_csv_list_still_has_its_line_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, Output("csv"), []) == "id,name,mtu,up,profile\n"


def test_value_gives_bare_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, Output("value", ("id",)), PORT) == "p1\n"
    assert shown(capsys, Output("value", ("id", "profile", "up")), PORT) == "p1\n\ntrue\n"
    assert listed(capsys, Output("value", ("id", "mtu")), [PORT, PORT]) == "p1\t1500\np1\t1500\n"
    assert listed(capsys, Output("value", ("id",)), []) == ""


def test_a_table_shows_as_many_columns_as_fit_and_says_how_many_are_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "18")
    text = listed(capsys, Output("table"), [PORT])
    assert "Zürich" in text
    assert "1500" not in text
    assert "3 more columns" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 18


def test_a_table_with_columns_asked_for_shows_all_of_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = listed(capsys, Output("table", ("name", "profile", "up")), [PORT])
    assert "profile" in text
    assert "true" in text
    assert "p1" not in text


def test_a_table_of_one_object_has_a_line_for_each_attribute(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, Output("table"), PORT).splitlines()
    assert any("mtu" in line and "1500" in line for line in lines)


def test_a_table_shows_control_characters_and_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, Output("table"), {"name": "\x1b[31m[bold]x[/bold]\x07\n"})
    assert r"\x1b[31m[bold]x[/bold]\x07\n" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_prints_an_object_without_attributes(
    format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(format).show({})
    assert "Traceback" not in capsys.readouterr().err
