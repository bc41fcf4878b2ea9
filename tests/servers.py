"""Real S3 and SSH servers on this machine, for tests of DVC's remotes."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

STARTING_SECONDS = 60  # two where the machine is idle
USER = {"UserName": "user"}
ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
POLICY = {
    "PolicyName": "storage",
    "PolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [ALLOW]}),
}
# Requests that make a bucket and a user with an access key.
SETUP: list[tuple[str, str, str, dict[str, str]]] = [
    ("PUT", "/bucket", "s3", {}),
    ("POST", "/", "iam", {"Action": "CreateUser", **USER}),
    ("POST", "/", "iam", {"Action": "PutUserPolicy", **USER, **POLICY}),
    ("POST", "/", "iam", {"Action": "CreateAccessKey", **USER}),
]


@dataclass(frozen=True)
class Bucket:
    """An empty bucket `name` at `endpoint`, which answers only requests signed with the key."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Host:
    """An SSH server on 127.0.0.1 for `user` with the private key."""

    port: int
    user: str
    private_key: Path


@contextmanager
def s3(folder: Path, host: str = "127.0.0.1") -> Iterator[Bucket]:
    """moto's S3 server at `host`, with its log in `folder`; objects are in memory."""
    port = _free_port()
    endpoint = f"http://{host}:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    unsigned = {"INITIAL_NO_AUTH_ACTION_COUNT": str(len(SETUP))}  # then signatures are checked
    with _running(command, port, folder / "moto.log", unsigned, host):
        responses = [_request(endpoint, *request) for request in SETUP]
        elements = ElementTree.fromstring(responses[-1]).iter()
        key = {element.tag.rpartition("}")[2]: element.text or "" for element in elements}
        yield Bucket(endpoint, "bucket", key["AccessKeyId"], key["SecretAccessKey"])


# Serves until its input ends.
_SERVE = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
import servers
with servers.s3(pathlib.Path(sys.argv[2]), sys.argv[3]) as bucket:
    print(json.dumps(vars(bucket)), flush=True)
    sys.stdin.read()
"""


@contextmanager
def s3_elsewhere(folder: Path, host: str, prefix: Sequence[str]) -> Iterator[Bucket]:
    """The same, started by a command with `prefix`."""
    command = [*prefix, sys.executable, "-c", _SERVE, str(Path(__file__).parent), str(folder), host]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield Bucket(**json.loads(process.stdout.readline()))
        process.communicate()


@contextmanager
def ssh(folder: Path) -> Iterator[Host]:
    """OpenSSH's sshd with its configuration, keys and log in `folder`."""
    # sshd must be called by its absolute path.
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.fail("no sshd here; install OpenSSH's server (Debian: openssh-server)")
    port = _free_port()
    for name in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    config = folder / "sshd_config"
    config.write_text(
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
    with _running([sshd, "-D", "-e", "-f", str(config)], port, folder / "sshd.log", {}):
        yield Host(port, pwd.getpwuid(os.geteuid()).pw_name, folder / "user_key")


def _request(endpoint: str, method: str, path: str, service: str, form: dict[str, str]) -> bytes:
    """The response to an unsigned request; the header names the service."""
    credential = f"Credential=none/20000101/us-east-1/{service}/aws4_request"
    request = urllib.request.Request(
        endpoint + path,
        method=method,
        data=urllib.parse.urlencode(form).encode() if form else None,
        headers={"Authorization": f"AWS4-HMAC-SHA256 {credential}"},
    )
    with urllib.request.urlopen(request, timeout=STARTING_SECONDS) as response:
        return bytes(response.read())


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: list[str], port: int, log: Path, extra: dict[str, str], host: str = "127.0.0.1"
) -> Iterator[None]:
    """`command` with its output in `log` and `extra` in its environment, once it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **extra}
        )
    try:
        deadline = time.monotonic() + STARTING_SECONDS
        while not _listens(host, port):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0
