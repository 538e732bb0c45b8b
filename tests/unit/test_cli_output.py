"""What commands print: tables that fit, in which nothing that identifies is cut, and JSON for programs."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from aether.cli.output import plain, show, table
from aether.proto import aether_pb2 as pb

ID = "01a21ff5-74c3-7c8d-a80c-cc30bb342fea"
COLUMNS = ("id", "type", "status", "assigned_to", "nothing", "error")
ROWS = [
    {"id": ID, "type": "render", "status": "waiting_input", "assigned_to": "ag::w::painter::1", "error": ""},
    {"id": ID[::-1], "type": "cut", "status": "failed", "assigned_to": "", "error": "no such file: " + "x" * 40},
]


def lines(width: int, rows: list[dict[str, Any]] = ROWS, **options: Any) -> tuple[list[str], list[str]]:
    """A table as a terminal of some width shows it, and what was left out."""
    shown, left_out = table(rows, COLUMNS, width, **options)
    out = io.StringIO()
    Console(file=out, width=width).print(shown)
    return [line.rstrip() for line in out.getvalue().splitlines()], left_out


def test_everything_is_shown_where_there_is_room() -> None:
    shown, left_out = lines(200)
    assert shown[0].split("   ")[-1].strip() == "error"
    assert "assigned to" in shown[0]
    assert shown[3].endswith("x" * 40)
    assert left_out == []


def test_where_it_is_tight_long_cells_are_cut_and_columns_left_out_and_that_is_said() -> None:
    shown, left_out = lines(80, important=("status", "error"))
    assert shown[0].split() == ["id", "status", "error"]
    assert shown[2].split() == [ID, "waiting_input"]
    assert shown[3].startswith(ID[::-1] + "   failed          no such file: xxx")
    assert shown[3].endswith("…")
    assert left_out == ["type", "assigned_to"], "there is nothing in the other one"
    assert lines(80)[0][0].split() == ["id", "type", "status"]


def test_where_it_is_very_tight_rows_are_blocks_that_are_whole() -> None:
    shown, left_out = lines(50)
    assert shown == [
        f"id           {ID}",
        "type         render",
        "status       waiting_input",
        "assigned to  ag::w::painter::1",
        "",
        f"id           {ID[::-1]}",
        "type         cut",
        "status       failed",
        "error        no such file:",
        "x" * 40,
    ]
    assert left_out == []


@given(st.integers(1, 300), st.lists(st.text(max_size=60), min_size=6, max_size=6))
def test_no_line_of_a_table_is_longer_than_the_terminal_is_wide(width: int, texts: list[str]) -> None:
    row = dict(zip(COLUMNS, texts, strict=True)) | {"id": ID}
    shown, left_out = lines(width, [row], important=("status", "error"))
    if width > cell_len(ID):
        assert all(cell_len(line) <= width for line in shown)
        assert any(ID in line for line in shown)
    assert set(left_out) <= set(COLUMNS) - {"id"}


def test_a_file_gets_whole_lines_without_anything_behind_them(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, COLUMNS, as_json=False)
    printed = capsys.readouterr().out
    assert printed.endswith("x\n")
    printed = printed.splitlines()
    assert (len(printed), printed[2].split()) == (4, [ID, "render", "waiting_input", "ag::w::painter::1"])
    assert printed[3].endswith("x" * 40)
    assert all(line == line.rstrip() for line in printed)


def test_what_clients_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"id": "\x1b[2J[red]a\tb\nc\nd"}], ("id",), as_json=False)
    assert capsys.readouterr().out.splitlines()[2] == "\\x1b[2J[red]a\\tb\\nc\\nd"


def test_of_several_lines_the_first_and_the_last_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output = "ended with code 1\nTraceback:\n  File x\n  TypeError: no\n\n"
    show([{"id": 1, "error": output}, {"id": 2, "error": "x" * 1000}], ("id", "error"), as_json=False)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows == ["1    ended with code 1 … TypeError: no", f"2    {'x' * 499}…"]


def test_messages_as_json() -> None:
    wait = pb.WaitSpec(reason=pb.WAIT_REASON_INPUT, timeout_ms=5, input_match={"status": "TASK_STATUS_QUEUED"})
    task = pb.TaskInfo(
        status=pb.TASK_STATUS_WAITING_INPUT, task_class=pb.TASK_CLASS_BATCH, priority=40, created_at=7, wait_spec=wait
    )
    assert plain(task, whole=False) == {
        "status": "waiting_input",
        "task_class": "batch",
        "priority": 40,
        "created_at": 7,
        "wait_spec": {"reason": "input", "timeout_ms": 5, "input_match": {"status": "TASK_STATUS_QUEUED"}},
    }
    assert plain(pb.TaskInfo(priority=37, status=99), whole=False) == {"priority": 37, "status": 99}  # type: ignore[arg-type]
    filter_ = pb.TaskFilter(statuses=[pb.TASK_STATUS_FAILED, pb.TASK_STATUS_QUEUED])
    assert plain(filter_, whole=False) == {"statuses": ["failed", "queued"]}
    assert plain(pb.TaskOperation(op=pb.TaskOperation.WAIT_FOR), whole=False) == {"op": "wait_for"}


def test_programs_find_the_same_names_in_each_row() -> None:
    fresh, old = plain(pb.TaskInfo(task_id="1")), plain(pb.TaskInfo(task_id="2", attempt=1, error="no"))
    assert fresh.keys() == old.keys()
    assert (fresh["attempt"], fresh["error"], fresh["metadata"], fresh["status"]) == (0, "", {}, "unspecified")
