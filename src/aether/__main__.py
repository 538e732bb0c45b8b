"""``python -m aether``."""

from __future__ import annotations

from aether.cli import main

if __name__ == "__main__":
    main()
