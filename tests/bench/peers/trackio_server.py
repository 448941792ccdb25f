"""Trackio's server on a free port: prints its address and token as JSON, and serves until its standard input ends."""

import json
import os
import sys

if __name__ == "__main__":
    os.environ["TRACKIO_DIR"] = sys.argv[1]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import trackio

    server, url, _, _ = trackio.show(open_browser=False, block_thread=False, server_port=int(sys.argv[2]))
    answers.write(json.dumps({"address": url, "token": server.write_token}) + "\n")
    answers.flush()
    sys.stdin.read()
    os._exit(0)
