"""Everything here trains: without the extra `tune` the whole folder is skipped, loudly."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="tests of training need the extra: pip install 'honed[tune]'")
