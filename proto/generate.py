"""Regenerates src/aether/proto from proto/aether/v1/aether.proto.

``make proto`` runs it in the environment of proto/requirements.txt; with ``--check`` nothing is written and the exit
code tells whether the modules in the repository are what protoc makes of the file today.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "aether/v1/aether.proto"
TARGET = HERE.parent / "src/aether/proto"


def generate() -> dict[str, str]:
    """The text of every generated module, by file name."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"-I{HERE}",
                f"--python_out={folder}",
                f"--pyi_out={folder}",
                f"--purerpc_out={folder}",
                str(SOURCE.relative_to(HERE)),
            ],
            cwd=HERE,
            env=environment,
            check=True,
        )
        made = Path(folder, "aether/v1")
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(made.iterdir())}
    # The plugin imports by the proto's path; the modules live in aether.proto.
    texts["aether_grpc.py"] = texts["aether_grpc.py"].replace(
        "import aether.v1.aether_pb2 as", "import aether.proto.aether_pb2 as"
    )
    mark = f"# Made by proto/generate.py from a source with SHA-256 {hashlib.sha256(SOURCE.read_bytes()).hexdigest()}\n"
    return {name: mark + text for name, text in texts.items()}


def main() -> int:
    texts = generate()
    if "--check" not in sys.argv[1:]:
        for name, text in texts.items():
            (TARGET / name).write_text(text, encoding="utf-8")
        return 0
    stale = [name for name, text in texts.items() if (TARGET / name).read_text(encoding="utf-8") != text]
    for name in stale:
        print(f"{TARGET / name} is not what protoc makes of {SOURCE.name}: run make proto")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
