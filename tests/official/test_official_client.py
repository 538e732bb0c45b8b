"""The published Python client against our gateway (sdk 13)."""

from __future__ import annotations

from .conftest import Play


def test_everyday_work_with_the_asynchronous_client(play: Play) -> None:
    seen = play("everyday.py")
    assert seen["messages"] == [["ag::w::i::a", str(number)] for number in range(20)]
    assert seen["events"] == ["happened"]
    assert seen["metrics"] == ["ag::w::i::a"]
    assert seen["user"] == ["hello"]
    assert seen["errors"] == ["ERR_INVALID_TOPIC"]
    assert seen["progress"] == [["ag::w::i::a", "working"]]
    assert seen["kv"] == {scope: scope for scope in seen["kv"]}
    assert len(seen["kv"]) == 8
    assert seen["counters"] == list(range(1, 51))
    assert seen["guarded"] == [[1, True], [2, True], [2, False]]
    assert seen["listed"] == ["g", "k", "n"]
    assert seen["checkpoint"] == ["state", ["default"]]
    assert seen["status"] == [True, True]


def test_everyday_work_with_the_synchronous_client(play: Play) -> None:
    seen = play("synchronous.py")
    assert seen["messages"] == [str(number) for number in range(10)]
    assert seen["stored"] == ["", "v"]
    assert seen["pool"] == ["work"]
    assert seen["loaded"] == "state"
    assert seen["saved"] is True
