"""Who may have which token policy, asked of a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running_service import running_service

pytestmark = pytest.mark.slow
SEVERAL = {
    "COLLEGIUM_EMBEDDED": "false",
    "COLLEGIUM_API_KEY": "the-administrators-key",
    "COLLEGIUM_CALLER_KEYS": '{"one": "a-key-of-one", "two": "a-key-of-two"}',
}


def test_tenants_who_would_meet_are_kept_apart(tmp_path: Path) -> None:
    """A capacity is refused to a service with two callers, with the way out; nothing is started."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"num_local_experts": 4}')
    (model / "model.safetensors").write_bytes(b"weights")
    with running_service(tmp_path / "data", **SEVERAL) as service:
        refused = service.cli(
            "expert",
            "add",
            "mine",
            "--model-path",
            str(model),
            "--token-policy",
            '{"capacity": {}}',
        )
        assert refused.returncode == 1
        assert "another's answer" in refused.stderr
        assert "single_tenant: true" in refused.stderr
        counted = service.cli("expert", "tokens", "mine")
        assert counted.returncode == 1
        assert "no engine 'mine'" in counted.stderr
