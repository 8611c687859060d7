#!/usr/bin/env python3
"""Shows what kerf is for, on its two example models, and checks every number (see ../demo).

    python3 demo.py KERF [FOLDER]    KERF: the built command; FOLDER: where requests are kept
"""
import http.client
import json
import os
import pathlib
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-5  # relative to a tensor's largest magnitude: what float32 can promise
THREADS = 64
ROUNDS = 20


class Failure(Exception):
    pass


def shortened(data):
    """JSON on one line, long arrays cut short."""
    def short(value):
        if isinstance(value, dict):
            return {key: short(item) for key, item in value.items()}
        if isinstance(value, list):
            return [short(item) for item in value[:4]] + ["..."] * (len(value) > 4)
        return value
    return json.dumps(short(data)).replace('"..."', "...")


def tensor(reply, name):
    return next(t for t in reply["outputs"] if t["name"] == name)


def fed(output):
    """An output of one request as an input of the next."""
    return {key: output[key] for key in ("name", "shape", "datatype", "data")}


class Demo:
    def __init__(self, port, folder):
        self.port = port
        self.folder = folder
        self.requests = {}
        self.truth = {}
        for name in ("recommender", "classifier"):
            self.requests[name] = json.loads((HERE / f"samples/{name}.request.json").read_text())
            self.truth[name] = json.loads((HERE / f"samples/{name}.keras.json").read_text())

    def curl(self, path, request=None, status=200):
        """Runs curl, shows the line one would type, and returns the reply."""
        command = ["curl", "-sS", f"127.0.0.1:{self.port}{path}"]
        if request is not None:
            command += ["-d", f"@{os.path.relpath(request)}"]
        print(f"\n  $ {shlex.join(command)}")
        if request is not None:
            print(f"  > {shortened(json.loads(request.read_text()))}")
        done = subprocess.run([*command, "-w", "\n%{http_code}"], capture_output=True, text=True,
                              check=True, timeout=30)
        text, code = done.stdout.rsplit("\n", 1)
        reply = json.loads(text)
        print(f"  < {code} {shortened(reply)}")
        if int(code) != status:
            raise Failure(f"the status is {code}, not {status}: {text}")
        return reply

    def infer(self, model, request, status=200):
        return self.curl(f"/v2/models/{model}/infer", request, status)

    def keep(self, name, body):
        """Writes a request to a file of its own, to be sent again by whoever reads the demo."""
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(body) + "\n")
        return file

    def check(self, model, output):
        """Compares a tensor with what Keras computed."""
        expected = tensor(self.truth[model], output["name"])
        if output["shape"] != expected["shape"]:
            raise Failure(f"{output['name']}: the shape differs from Keras'")
        scale = max(map(abs, expected["data"]))
        difference = max(abs(a - b) for a, b in zip(output["data"], expected["data"])) / scale
        if not difference <= TOLERANCE:
            raise Failure(f"{output['name']} differs from Keras by {difference:.1e}")
        print(f"  as Keras computes it: the largest relative difference is {difference:.1e}")

    def whole(self, model, output):
        reply = self.infer(model, HERE / f"samples/{model}.request.json")
        self.check(model, tensor(reply, output))
        return tensor(reply, output)

    def features(self, model, address):
        body = self.requests[model] | {"outputs": [{"name": address}]}
        reply = self.infer(model, self.keep(f"{model}-head", body))
        self.check(model, tensor(reply, address))
        return tensor(reply, address)

    def tail(self, model, features, whole):
        reply = self.infer(model, self.keep(f"{model}-tail", {"inputs": [fed(features)]}))
        output = tensor(reply, whole["name"])
        self.check(model, output)
        same = output["data"] == whole["data"]
        print(f"  {'bit for bit' if same else 'within rounding'} what the whole model gave")
        return output

    def from_many_threads(self, cases):
        """Sends (model, request, expected output) from THREADS connections at once."""
        wrong = []
        start = threading.Barrier(THREADS)

        def work(thread):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            start.wait()
            for i in range(ROUNDS):
                model, request, expected = cases[(thread + i) % len(cases)]
                connection.request("POST", f"/v2/models/{model}/infer", json.dumps(request))
                reply = json.loads(connection.getresponse().read())
                if reply.get("outputs", [{}])[0].get("data") != expected["data"]:
                    wrong.append(f"{model}: {shortened(reply)}")
            connection.close()

        threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise Failure(f"{len(wrong)} replies differ, the first: {wrong[0]}")
        print(f"  {THREADS * ROUNDS} replies, not one bit different from those above")

    def show(self):
        print("\n1. One server, two models of different tasks")
        self.curl("/v2/models/recommender")
        self.curl("/v2/models/classifier")

        print("\n2. Whole predictions")
        scores = self.whole("recommender", "dense_final")
        classes = self.whole("classifier", "dense")

        print("\n3. Features from the middle: name any tensor of the model as an output")
        bottleneck = self.features("recommender", "concat")
        pooled = self.features("classifier", "global_average_pooling2d")

        print("\n4. Predictions from features: name any tensor of the model as an input")
        scores_again = self.tail("recommender", bottleneck, scores)
        classes_again = self.tail("classifier", pooled, classes)

        print(f"\n5. Whole, head and tail of both models, from {THREADS} threads at once\n")
        self.from_many_threads([
            ("recommender", self.requests["recommender"], scores),
            ("classifier", self.requests["classifier"], classes),
            ("recommender", self.requests["recommender"] | {"outputs": [{"name": "concat"}]},
             bottleneck),
            ("classifier", self.requests["classifier"]
             | {"outputs": [{"name": "global_average_pooling2d"}]}, pooled),
            ("recommender", {"inputs": [fed(bottleneck)]}, scores_again),
            ("classifier", {"inputs": [fed(pooled)]}, classes_again),
        ])

        print("\n6. A cut that cannot be computed says what is missing")
        flat = tensor(self.truth["recommender"], "flat")
        request = self.keep("recommender-bad-cut", {"inputs": [fed(flat)]})
        reply = self.infer("recommender", request, status=400)
        if "Features" not in reply["error"]:
            raise Failure("the error does not name the missing input")


def free_port():
    """A port that is free and whose next one is, for gRPC; none that the system gives to others."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as http_probe, socket.socket() as grpc_probe:
            try:
                http_probe.bind(("127.0.0.1", port))
                grpc_probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def wait_until_ready(server, port):
    for _ in range(600):
        if server.poll() is not None:
            raise Failure("the server did not start")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise Failure("the server is not ready after 30 seconds")


def main(kerf, folder):
    port = free_port()
    command = [kerf, "serve", os.path.relpath(HERE / "models"), "--port", str(port)]
    print(f"  $ {shlex.join(command)} &", flush=True)
    server = subprocess.Popen(command)
    try:
        wait_until_ready(server, port)
        folder.mkdir(parents=True, exist_ok=True)
        Demo(port, folder).show()
        print("\n7. SIGTERM lets the server finish what it has begun, then ends it\n", flush=True)
        server.send_signal(signal.SIGTERM)
        if server.wait(timeout=30) != 0:
            raise Failure(f"the server ended with {server.returncode}")
    except Failure as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    finally:
        if server.poll() is None:
            server.kill()
    print("\nEverything agrees with Keras, from every thread.")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else scratch)))
