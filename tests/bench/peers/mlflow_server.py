"""MLflow's server on a given port: prints its address as JSON, and serves until its standard input ends."""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

if __name__ == "__main__":
    folder, port = sys.argv[1], sys.argv[2]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(command, stdout=2, start_new_session=True, env=environment)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urlopen(f"{address}/health", timeout=5).close()  # noqa: S310  # loopback
            break
        except (URLError, OSError):
            time.sleep(0.1)
    print(json.dumps({"address": address, "token": ""}), flush=True)
    sys.stdin.read()
    os.killpg(server.pid, signal.SIGKILL)
