"""Rotates a token as an unprivileged user, as it should: it may only read what that user may read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
secret = Path(sys.argv[1])
try:
    secret.read_text()
except PermissionError as e:
    sys.exit(f"rotate-token: {type(e).__name__}: {e}")
sys.stdout.write("rotated\n")
