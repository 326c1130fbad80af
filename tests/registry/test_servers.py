"""The tests' own servers say what they miss."""

from __future__ import annotations

import pytest

from tests.servers import find_program


def test_a_missing_program_names_its_package() -> None:
    """Tests that need a server fail with the remedy; they are never skipped."""
    with pytest.raises(RuntimeError, match=r"needs 'no-such-server': apt-get install such-package"):
        find_program("no-such-server", package="such-package", folders="/usr/lib/absent/*/bin")
