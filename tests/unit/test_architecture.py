"""Dependencies point one way: cli, admin -> gateway -> features -> ports <- storage, and gateway -> rpc."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src/aether"

SHARED = {
    "_fastpath",
    "_version",
    "access",
    "answers",
    "errors",
    "identity",
    "nurseries",
    "paging",
    "proto",
    "records",
    "topics",
}
"""What everybody may use."""

FEATURES = {
    "acl",
    "audit",
    "authentication",
    "authority",
    "checkpoints",
    "kv",
    "messaging",
    "orchestration",
    "registry",
    "sessions",
    "tasks",
    "tokens",
    "workspaces",
}

MAY_IMPORT = {
    "rpc": set(),
    "proto": set(),
    "config": set(),
    "client": {
        "kv",
        "checkpoints",
        "nurseries",
        "_version",
        "errors",
        "identity",
        "proto",
        "rpc",
        "topics",
        "_fastpath",
    },
    **dict.fromkeys(FEATURES, SHARED | FEATURES),
    "storage": SHARED | FEATURES,
    "tiers": SHARED | FEATURES | {"config", "storage"},
    "gateway": SHARED | FEATURES | {"config", "metrics", "rpc", "tiers"},
    "metrics": {"_fastpath", "_version", "errors"},
    "launcher": {"client", "config", "errors", "nurseries", "proto"},
    "admin": SHARED | FEATURES | {"config", "gateway", "metrics"},
    "cli": SHARED | FEATURES | {"admin", "client", "config", "gateway", "launcher", "rpc", "storage", "tiers"},
}
"""Parts of the package by what they import at module level."""

LOADED_ON_USE = {
    "tiers": {"tiers"},
    "client": {"kv", "checkpoints", "nurseries", "gateway"},
}
"""What may be imported inside functions besides; a composition that loads its parts when it is used."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Parts of aether that a module imports, and whether at module level; imports for type checkers do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    lazy = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "aether" else [module]
        for name in names:
            if name.startswith("aether."):
                yield name.split(".")[1], node not in lazy


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_imports_point_one_way(part):
    folder = PACKAGE / part
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]:
        if path.parent.name == "proto":
            continue  # generated
        allowed = MAY_IMPORT[part] | {part}
        for name, at_module_level in imports(path):
            if at_module_level:
                assert name in allowed, f"{path.relative_to(PACKAGE)} imports aether.{name}"
            else:
                assert name in allowed | LOADED_ON_USE.get(part, set()), (
                    f"{path.relative_to(PACKAGE)} loads aether.{name}"
                )


def test_every_part_has_its_rule():
    parts = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.is_dir() and any(path.glob("*.py"))) or (path.suffix == ".py" and not path.stem.startswith("_"))
    }
    assert parts <= MAY_IMPORT.keys() | SHARED


def modules() -> dict[str, set[str]]:
    """What each module imports at module level, for type checkers too."""
    paths = {".".join(("aether", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in sources()}
    names = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lazy = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)
        }
        wanted = found[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node not in lazy and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names} & names.keys()
                wanted |= whole or {node.module} & names.keys()
    return found


def sources() -> Iterator[Path]:
    return (path for path in PACKAGE.rglob("*.py") if path.parent.name != "proto")


def test_no_module_imports_itself_by_others():
    """What goes in a circle cannot be read, tested or replaced by itself. Peeled from the leaves, nothing stays."""
    left = modules()
    assert len(left) > 100
    while leaves := [name for name, wanted in left.items() if not wanted & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, f"in a circle, or above one: {sorted(left)}"
