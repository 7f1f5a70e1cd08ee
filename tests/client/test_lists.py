"""Lists longer than a page of the server: order, limits, filters, formats."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from client.runner import Command


def names(answer: dict[str, Any]) -> list[str]:
    return [vpn["name"] for vpn in answer["vpns"]]


class TestLists:
    """Lists longer than a page of the server."""

    @pytest.fixture(autouse=True)
    def _given(self, protonclient: Command, vpns: list[dict[str, Any]]) -> None:
        self.vpns = vpns
        self.command = protonclient.for_api("net-l3vpn")
        self.of_tenant = ["--tenant_id", vpns[0]["tenant_id"]]

    def listed(self, *options: str) -> Any:
        return self.command.json("vpn-list", *self.of_tenant, *options)

    def test_all_pages_are_in_the_list(self) -> None:
        assert sorted(names(self.listed())) == [f"vpn {n}" for n in range(7)]

    def test_the_order_is_kept_across_pages(self) -> None:
        down = ("--sort_key", "name", "--sort_dir", "desc")
        assert names(self.listed(*down)) == [f"vpn {n}" for n in reversed(range(7))]

    @pytest.mark.parametrize("limit", [1, 3, 5, 7, 100])
    def test_the_limit_is_for_the_whole_list(self, limit: int) -> None:
        assert names(self.listed("--limit", str(limit), "--sort-key", "name")) == [
            f"vpn {n}" for n in range(min(limit, 7))
        ]

    def test_a_list_goes_on_behind_the_marker(self) -> None:
        marker = self.vpns[4]["id"]
        assert names(self.listed("--marker", marker, "--sort_key", "name")) == ["vpn 5", "vpn 6"]

    def test_a_repeated_filter_takes_any_of_the_values(self) -> None:
        assert sorted(names(self.listed("--name", "vpn 1", "--name", "vpn 3"))) == ["vpn 1", "vpn 3"]

    def test_several_filters_must_all_hold(self) -> None:
        assert names(self.listed("--name", "vpn 1", "--description", "d0")) == []

    def test_columns_are_all_that_is_printed(self) -> None:
        answer = self.listed("-c", "name,id", "--sort_key", "name", "--limit", "1")
        assert answer == {"vpns": [{"name": "vpn 0", "id": self.vpns[0]["id"]}]}

    def test_fields_are_all_that_is_asked_for(self) -> None:
        answer = self.listed("--fields", "name", "--sort_key", "name", "--limit", "2")
        assert answer == {"vpns": [{"name": "vpn 0"}, {"name": "vpn 1"}]}

    def test_csv_and_value(self) -> None:
        order = ("--sort_key", "name", "-c", "name", "-c", "description")
        text = self.command.out("vpn-list", *self.of_tenant, *order, "-f", "csv")
        assert list(csv.reader(io.StringIO(text)))[:2] == [["name", "description"], ["vpn 0", "d0"]]
        text = self.command.out("vpn-list", *self.of_tenant, *order, "-f", "value")
        assert text.splitlines()[1] == "vpn 1\td1"

    def test_a_limit_that_is_none_is_an_error(self) -> None:
        assert "--limit" in self.command.error("vpn-list", "--limit", "0")

    def test_an_unknown_column_is_answered_with_the_nearest(self) -> None:
        assert "did you mean name?" in self.command.error("vpn-list", "-c", "nmae")

    def test_an_unknown_sort_key_is_the_servers_to_refuse(self) -> None:
        assert "sort_key: there is no attribute 'nmae'" in self.command.error(
            "vpn-list", "--sort_key", "nmae"
        )
