"""Regenerates what the package takes from the .proto files of this folder.

* src/aether/proto: messages, servicer and stub of aether/v1/aether.proto;
* src/aether/rpc/standard_protos.py: the services of the gRPC project that every server has, as descriptors. They get no
  modules of their own, because those would claim their names in protobuf's one registry of the process, and a program
  that also uses grpcio's health or reflection package could not load both.

``make proto`` runs it in the environment of proto/requirements.txt; with ``--check`` nothing is written and the exit
code tells whether the modules in the repository are what protoc makes of the files today.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "src/aether"
SOURCE = HERE / "aether/v1/aether.proto"
STANDARD = [
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
]
LINE = 100
"""Bytes of a descriptor in a line of source."""


def protoc(*arguments: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", *arguments]
    subprocess.run(command, cwd=HERE, env=environment, check=True)


def mark(*sources: Path) -> str:
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return f"# Made by proto/generate.py from a source with SHA-256 {digest}\n"


def generate() -> dict[Path, str]:
    """The text of every generated module."""
    return {**protocol(), PACKAGE / "rpc/standard_protos.py": standard()}


def protocol() -> dict[Path, str]:
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--python_out={folder}", f"--pyi_out={folder}", f"--purerpc_out={folder}"]
        protoc(*outputs, str(SOURCE.relative_to(HERE)))
        made = Path(folder, "aether/v1")
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(made.iterdir())}
    # The plugin imports by the proto's path; the modules live in aether.proto.
    texts["aether_grpc.py"] = texts["aether_grpc.py"].replace(
        "import aether.v1.aether_pb2 as", "import aether.proto.aether_pb2 as"
    )
    return {PACKAGE / "proto" / name: mark(SOURCE) + text for name, text in texts.items()}


def standard() -> str:
    """A module with the descriptors of the standard services."""
    lines = [
        mark(*(HERE / name for name in STANDARD)),
        '"""The services that the gRPC project defines: serialized FileDescriptorProto by path."""\n\n',
        "FILES: dict[str, bytes] = {\n",
    ]
    for name in STANDARD:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "set")
            protoc(f"--descriptor_set_out={path}", name)
            descriptor = only_file(path.read_bytes())
        lines.append(f'    "{name}": bytes.fromhex(\n')
        digits = descriptor.hex()
        lines += [f'        "{digits[start : start + LINE]}"\n' for start in range(0, len(digits), LINE)]
        lines.append("    ),\n")
    return "".join([*lines, "}\n"])


def only_file(data: bytes) -> bytes:
    """The one file of a FileDescriptorSet."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    (file,) = FileDescriptorSet.FromString(data).file
    return file.SerializeToString(deterministic=True)


def main() -> int:
    texts = generate()
    if "--check" not in sys.argv[1:]:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path} is not what protoc makes of its source: run make proto")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
