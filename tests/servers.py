"""Real S3 and SSH servers on this machine, for tests of DVC's remotes."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

KEY = {"AWS_ACCESS_KEY_ID": "key-of-tests", "AWS_SECRET_ACCESS_KEY": "secret-of-tests"}
# Connects as soon as a server listens; sends what makes a bucket.
CONNECT = """
import contextlib, socket, sys, time
address, request = ("127.0.0.1", int(sys.argv[1])), sys.argv[2]
for attempt in range(600):  # a minute; two seconds where the machine is idle
    with contextlib.suppress(OSError), socket.create_connection(address) as connection:
        connection.sendall(request.encode())
        sys.exit(not connection.recv(1))
    time.sleep(0.1)
sys.exit(f"nothing listens at {address}")
"""


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    """The endpoint of moto's S3 server, which has a `bucket`."""
    port = free_port()
    request = "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    with running((sys.executable, "-m", "moto.server", "-p", port), folder / "moto.log"):
        subprocess.run([sys.executable, "-c", CONNECT, port, request], check=True)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def ssh(folder: Path) -> Iterator[tuple[str, str]]:
    """Address and user of OpenSSH's sshd; configuration, log and `user_key` are in `folder`."""
    # sshd must be called by its absolute path.
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.fail("expected sshd, found none; install Debian's openssh-server")
    port = free_port()
    for name in ("host_key", "user_key"):
        keygen = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(keygen, check=True)
    (folder / "sshd_config").write_text(
        f"""\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
AuthenticationMethods publickey
PidFile none
StrictModes no # as /tmp, above the keys, is writable for all
Subsystem sftp internal-sftp
"""
    )
    if os.geteuid() == 0:  # sshd of root requires it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with running((sshd, "-D", "-e", "-f", str(folder / "sshd_config")), folder / "sshd.log"):
        subprocess.run([sys.executable, "-c", CONNECT, port, ""], check=True)
        yield f"127.0.0.1:{port}", pwd.getpwuid(os.geteuid()).pw_name


def free_port() -> str:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`command` with its output in `log`; on exit it is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
