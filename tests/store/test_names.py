"""Physical names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gluon.store.names import LONGEST, Name, PhysicalNames, physical_name


def test_a_name_is_kept_as_near_to_the_wanted_one_as_can_be() -> None:
    assert physical_name("net-l3vpn_Port", "", ()) == "net_l3vpn_port"
    assert physical_name("sqlite_Port", "", ()) == "x_sqlite_port"


def test_a_name_that_is_cut_or_taken_gets_a_suffix_of_its_own() -> None:
    long = "a" * 100

    assert len(physical_name(long, "one", ())) == LONGEST
    assert physical_name(long, "one", ()) != physical_name(long, "two", ())
    assert physical_name("port", "one", {"port"}).startswith("port_")


@given(
    st.lists(
        st.tuples(st.sampled_from(["s", "S", "s-", "s_"]), st.text(max_size=70), st.sampled_from(["", "x"]))
    )
)
def test_names_are_unique_without_regard_to_case_and_never_change(wanted: list[tuple[str, str, str]]) -> None:
    asked = [(Name(*parts), "_".join(parts)) for parts in wanted]
    once = PhysicalNames().with_names(asked[: len(asked) // 2])
    names = once.with_names(asked).names

    assert once.names.items() <= names.items()
    assert names.keys() == {name for name, _ in asked}
    tables = [physical for name, physical in names.items() if not name.column]
    assert len({t.lower() for t in tables}) == len(tables)
    columns = [
        (name.service, name.table, physical.lower()) for name, physical in names.items() if name.column
    ]
    assert len(set(columns)) == len(columns)
    assert all(len(physical.encode()) <= LONGEST for physical in names.values())
