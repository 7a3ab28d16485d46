"""Load from a separate process: wrk where it is installed, else a small asyncio client."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec


class Load(msgspec.Struct, frozen=True):
    """Requests to send. `{n}` in `path` is replaced by the number of the request."""

    url: str
    path: str
    method: str
    headers: dict[str, str]
    body: str
    in_flight: int
    seconds: float
    workspaces: int = 8


class Answered(msgspec.Struct, frozen=True):
    per_second: float
    failed: int


def drive(load: Load) -> Answered:
    wrk = shutil.which("wrk")
    if wrk is None:
        done = _run([sys.executable, "-m", "tests.bench.client"], msgspec.json.encode(load))
        return msgspec.json.decode(done, type=Answered)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_script(load))
        script.flush()
        flags = ["-t1", f"-c{load.in_flight}", f"-d{load.seconds:.0f}", "-s", script.name]
        output = _run([wrk, *flags, load.url], b"").decode()
    return Answered(_number(r"Requests/sec:\s*([0-9.]+)", output), int(_number(_NON_2XX, output)))


_NON_2XX = r"Non-2xx or 3xx responses: ([0-9]+)"


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


def _run(argv: list[str], text: bytes) -> bytes:
    here = Path(__file__).parent.parent.parent
    return subprocess.run(argv, input=text, capture_output=True, check=True, cwd=here).stdout


def _script(load: Load) -> str:
    headers = ", ".join(f'["{key}"] = "{value}"' for key, value in load.headers.items())
    path = f'"{load.path}"'.replace("{w}", '" .. (n % workspaces + 1) .. "')
    path = path.replace("{n}", '" .. n .. "')
    return f"""
    local n = 0
    local workspaces = {load.workspaces}
    local headers = {{ {headers} }}
    local body = [[{load.body}]]
    request = function()
        n = n + 1
        return wrk.format("{load.method}", {path}, headers, body)
    end
    """
