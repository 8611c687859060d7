"""A running `kerf serve`, and gRPC's Python stubs of kerf's own .proto files."""
import re
import subprocess
import sys
import tempfile
import threading

import kerf

PROTOS = kerf.SOURCE / "proto"
STUBS = tempfile.TemporaryDirectory()  # as long as the process
subprocess.run(
    ["protoc", f"--proto_path={PROTOS}", f"--python_out={STUBS.name}", f"--grpc_out={STUBS.name}",
     "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin",
     *map(str, sorted(PROTOS.rglob("*.proto")))], check=True)
sys.path.insert(0, STUBS.name)


class Server:
    """`kerf serve` on free ports."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [kerf.KERF, "serve", *map(str, arguments), "--port", "0"],
            stderr=subprocess.PIPE, text=True)
        said = ""
        self.http = self.grpc = None
        while self.http is None or self.grpc is None:
            line = self.process.stderr.readline()
            if not line:
                raise AssertionError(f"the server did not start: {said}")
            said += line
            if (found := re.search(r"listening for gRPC on port (\d+)", line)):
                self.grpc = f"127.0.0.1:{found[1]}"
            if (found := re.search(r"listening on (http://[\d.:]*\d)", line)):
                self.http = found[1]
        self.said = []
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr))
        self.reader.start()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()
        if self.process.returncode != 0:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n"
                                 + "".join(self.said[-80:]))
