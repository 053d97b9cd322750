"""Dovecot's submission server: TLS and logins of its own, and every letter handed to a relay while the client waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import parts
import pytest
from smtp_rigs import PASSWORD, USER, Authority, answers_at, free_port, wait_for

_SETTINGS = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = submission
listen = 127.0.0.1
hostname = localhost
ssl = required
ssl_cert = <{pem}
ssl_key = <{pem}
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail
first_valid_uid = 1
mail_uid = nobody
mail_gid = nogroup
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail
}}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = no
"""


@contextlib.contextmanager
def dovecot(authority: Authority, relay: int) -> Iterator[int]:
    """Run Dovecot's submission server before the relay at this port, and give its own."""
    parts.need("dovecot")
    if os.geteuid() != 0:
        pytest.skip("only root may run Dovecot, which becomes somebody else for each letter")
    folder, port = Path(tempfile.mkdtemp(prefix="dovecot-")), free_port()
    folder.chmod(0o755)
    (folder / "mail").mkdir(mode=0o777)
    (folder / "mail").chmod(0o777)
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    settings = folder / "dovecot.conf"
    settings.write_text(_SETTINGS.format(folder=folder, pem=authority.issue("localhost"), port=port, relay=relay))
    words = [str(parts.find("dovecot")), "-F", "-c", str(settings)]
    try:
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            try:
                wait_for(lambda: answers_at(port) or child.poll() is not None)
                assert child.poll() is None, (folder / "log").read_text(encoding="utf-8")
                yield port
            finally:
                child.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
