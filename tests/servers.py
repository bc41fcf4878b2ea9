"""Real storage servers on this machine, each with a door of its own, for tests of DVC's remotes."""

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
ENDING_SECONDS = 10

# All that it may do, so that only who signs with the right key gets in.
POLICY = (
    '{"Version": "2012-10-17",'
    ' "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
)


@dataclass(frozen=True)
class Bucket:
    """An empty bucket `name` at `endpoint`, which answers only requests signed with the key."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Host:
    """An SSH server on 127.0.0.1 that lets in the account of the test, with the key alone."""

    port: int
    user: str
    private_key: Path


@contextmanager
def s3(folder: Path, host: str = "127.0.0.1") -> Iterator[Bucket]:
    """moto's server at `host`, with its log in `folder`. It keeps the objects in memory."""
    port = _free_port()
    endpoint = f"http://{host}:{port}"
    opening = [
        ("PUT", "/bucket", "s3", {}),
        ("POST", "/", "iam", {"Action": "CreateUser", "UserName": "user"}),
        (
            *("POST", "/", "iam"),
            {
                "Action": "PutUserPolicy",
                "UserName": "user",
                "PolicyName": "storage",
                "PolicyDocument": POLICY,
            },
        ),
        ("POST", "/", "iam", {"Action": "CreateAccessKey", "UserName": "user"}),
    ]
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    checking = {"INITIAL_NO_AUTH_ACTION_COUNT": str(len(opening))}  # from then on, signatures
    with _running(command, port, folder / "moto.log", checking, host):
        answers = [_ask(endpoint, *request) for request in opening]
        key = ElementTree.fromstring(answers[-1])
        found = {one.tag.rpartition("}")[2]: one.text or "" for one in key.iter()}
        yield Bucket(endpoint, "bucket", found["AccessKeyId"], found["SecretAccessKey"])


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
    """The same on the machine where commands run with `prefix`, whose address is `host`."""
    command = [*prefix, sys.executable, "-c", _SERVE, str(Path(__file__).parent), str(folder), host]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield Bucket(**json.loads(process.stdout.readline()))
        process.communicate()


@contextmanager
def ssh(folder: Path) -> Iterator[Host]:
    """OpenSSH's sshd with its configuration, keys and log in `folder`; no need to be root."""
    # Not on an ordinary user's PATH, and sshd wants to be called by its full path.
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
    if os.geteuid() == 0:  # sshd started by root insists on it; Debian's service makes it at boot
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with _running([sshd, "-D", "-e", "-f", str(config)], port, folder / "sshd.log", {}):
        yield Host(port, pwd.getpwuid(os.geteuid()).pw_name, folder / "user_key")


def _ask(endpoint: str, method: str, path: str, service: str, form: dict[str, str]) -> bytes:
    """The answer to an unsigned request; the header only says which service it is for."""
    request = urllib.request.Request(
        endpoint + path,
        method=method,
        data=urllib.parse.urlencode(form).encode() if form else None,
        headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential=none/20000101/us-east-1/{service}/"
            "aws4_request"
        },
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
    """`command` with its output in `log`, from when it listens at `port` to the end of the block.

    It gets the environment of the tests and `extra`.
    """
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
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0
