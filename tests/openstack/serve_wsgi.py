"""Serves the API of one service on the loopback: `serve_wsgi.py MODULE PORT THREADS [OPTION...]`.

Runs in the cloud's environment, as a file, because it has nothing of this package to import.
"""

import importlib
import sys

HOST = "127.0.0.1"
IDLE_S_MAX = 300


def main() -> None:
    module, port, threads, *options = sys.argv[1:]
    sys.argv = [f"{module.partition('.')[0]}-api", *options]  # the service reads its own from here
    application = importlib.import_module(module).application
    # only now: the service may replace parts of the standard library when it is imported
    waitress = importlib.import_module("waitress")
    waitress.serve(
        application,
        listen=f"{HOST}:{port}",
        threads=int(threads),
        channel_timeout=IDLE_S_MAX,
        ident=None,
    )


if __name__ == "__main__":
    main()
