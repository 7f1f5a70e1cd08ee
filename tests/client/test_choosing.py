"""Which service, which version, which command."""

from __future__ import annotations

import pytest

from client.runner import Command


class TestChoosing:
    """Which service, which version, which command."""

    def test_without_a_service_the_services_are_named(self, protonclient: Command) -> None:
        for arguments in ([], ["port-list"]):
            result = protonclient.run(*arguments)
            assert result.exit_code == 1
            assert result.stdout == ""
            for service in ("ietf-sfc", "net-l3vpn", "odd", "test"):
                assert f"  {service}\n" in result.stderr
            assert "--api" in result.stderr

    def test_a_service_without_a_command_shows_its_commands(self, protonclient: Command) -> None:
        result = protonclient.for_api("net-l3vpn").run()
        assert result.exit_code == 1
        assert "vpnbinding-create" in result.stderr

    @pytest.mark.parametrize("api", ["net-l3vpn/v1.0", "net-l3vpn/1.0"])
    def test_the_version_may_be_said(self, protonclient: Command, api: str) -> None:
        assert "ports" in protonclient.for_api(api).json("port-list")

    def test_the_version_may_be_an_option(self, protonclient: Command) -> None:
        assert "ports" in protonclient.for_api("net-l3vpn").json("--api-version", "v1.0", "port-list")

    def test_an_unknown_version_is_answered_with_those_there_are(self, protonclient: Command) -> None:
        line = protonclient.for_api("net-l3vpn/v7").error("port-list")
        assert line.endswith("serves net-l3vpn as v1.0, not as v7")

    def test_an_unknown_service_is_answered_with_the_nearest(self, protonclient: Command) -> None:
        line = protonclient.for_api("net-l3vpm").error("port-list")
        assert line.endswith("does not serve net-l3vpm; did you mean net-l3vpn?")

    def test_an_unknown_command_is_answered_with_the_nearest(self, protonclient: Command) -> None:
        line = protonclient.for_api("net-l3vpn").error("prot-list")
        assert line == "protonclient: net-l3vpn has no command prot-list; did you mean port-list?"

    def test_an_unknown_option_is_answered_with_the_nearest(self, protonclient: Command) -> None:
        assert "--mac_address" in protonclient.for_api("net-l3vpn").error("port-create", "--mac_adress", "x")

    def test_a_missing_key_is_an_error_in_one_line(self, protonclient: Command) -> None:
        assert "ID" in protonclient.for_api("net-l3vpn").error("port-show")

    def test_underscores_and_dashes_are_alike_in_commands(self, protonclient: Command) -> None:
        assert "ports" in protonclient.for_api("net-l3vpn").json("port_list")
