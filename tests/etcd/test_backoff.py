from __future__ import annotations

from gluon.etcd.backoff import Backoff


def test_delays_double_up_to_the_limit_within_their_upper_half() -> None:
    backoff = Backoff(first=1, limit=5)

    for full in (1, 2, 4, 5, 5):
        assert full / 2 <= backoff.delay() <= full


def test_after_a_success_they_begin_anew() -> None:
    backoff = Backoff(first=1, limit=100)
    for _ in range(5):
        backoff.delay()

    backoff.reset()

    assert backoff.delay() <= 1
