"""An exec plugin for tests: prints what its first argument names, and counts its runs in the file given second."""

import json
import os
import sys
import time
from pathlib import Path

VERSION = "client.authentication.k8s.io/v1"


def main() -> None:
    """Runs once."""
    how = sys.argv[1]
    runs = Path(sys.argv[2])
    with runs.open("a") as file:
        file.write("x")
    count = runs.stat().st_size
    status: dict[str, str] = {"token": f"token-{count}"}
    if how == "fail":
        sys.exit("no session: log in first")
    if how == "hang":
        time.sleep(600)
    if how == "nonsense":
        print("hello")
        return
    if how == "short":
        status["expirationTimestamp"] = "2020-01-01T00:00:00Z"
    if how == "long":
        status["expirationTimestamp"] = "2120-01-01T00:00:00Z"
    if how == "half":
        status = {"clientCertificateData": "x"}
    if how == "info":
        info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
        status["token"] = info["spec"]["cluster"]["server"]
    if how == "env":
        status["token"] = os.environ["GIVEN"]
    print(json.dumps({"apiVersion": VERSION, "kind": "ExecCredential", "status": status}))


if __name__ == "__main__":
    main()
