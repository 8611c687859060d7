"""kerf serve by its configuration: files, keys, certificates, sockets, signals, reloading."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

import grpc

import kerf

RECOMMENDER = kerf.MODELS / "recommender.keras"
CLASSIFIER = kerf.MODELS / "classifier.keras"
INFER = "/v2/models/recommender/infer"
REQUEST = (kerf.SAMPLES / "recommender.request.json").read_bytes()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class ServeByConfiguration(kerf.TestCase):
    @contextlib.contextmanager
    def server(self, *arguments, environment=None, **options):
        """A server; yields the process, its URL without a scheme, and a list of what it says."""
        process = subprocess.Popen([kerf.KERF, "serve", *map(str, arguments)],
                                   stderr=subprocess.PIPE, text=True, cwd=self.scratch,
                                   env={**os.environ, **(environment or {})}, **options)
        said = []
        listening = threading.Event()

        def read():
            for line in process.stderr:
                said.append(line)
                if "listening on" in line:
                    listening.set()
            listening.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            self.assertTrue(listening.wait(60))
            place = re.search(r"listening on (?:https?://)?(\S+?): ", "".join(said))
            self.assertIsNotNone(place, said)
            yield process, place[1], said
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
            process.stderr.close()

    def config(self, text, name="kerf.toml"):
        file = self.scratch / name
        file.write_text(text)
        return file

    def ask(self, place, target, body=None, headers=None, method=None, connection=None):
        """The status, the headers and the parsed body of a reply."""
        own = connection is None
        connection = connection or http.client.HTTPConnection(place, timeout=30)
        try:
            connection.request(method or ("POST" if body is not None else "GET"), target, body,
                               headers or {})
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, reply.headers, json.loads(text) if text else None
        finally:
            if own:
                connection.close()

    def until(self, condition):
        for _ in range(600):
            if condition():
                return
            time.sleep(0.05)
        self.fail("it did not come to pass within 30 seconds")

    def test_a_file_and_the_command_line(self):
        file = self.config(f"""
            [server]
            port = 1
            [models.ranker]
            path = "{RECOMMENDER}"
            """)
        with self.server("--config", file, "--port", "0", "--set", "limits.request_bytes=10",
                         f"pictures={CLASSIFIER}") as (_, place, _):
            self.assertEqual(self.ask(place, "/v2/models")[2], {"models": ["pictures", "ranker"]})
            self.assertEqual(self.ask(place, INFER, REQUEST)[0], 413)
        out, _ = self.kerf("serve", "--config", file, "--port", "7", "--print-config")
        self.assertIn("port = 7\n", out)
        self.assertIn("[models.ranker]\n", out)
        out, _ = self.kerf("config", "check", file)
        self.assertIn("good", out)

    def test_what_is_wrong_is_told_with_its_place(self):
        file = self.config('[server]\nprot = 1\n[models.m]\npath = 3\n')
        err = self.refused("config", "check", file)
        self.assertIn(f"{file}:2:1: server.prot: there is no such key; did you mean 'port'?", err)
        self.assertIn(f"{file}:4:8: models.m.path: a path", err)
        self.assertEqual(err, self.refused("serve", "--config", file))
        self.assertIn("--port: server.port", self.refused("serve", RECOMMENDER, "--port", "70000",
                                                           code=2))
        self.assertIn("none.toml", self.refused("serve", "--config", "none.toml"))

    def test_keys_are_asked_for_everywhere(self):
        out, _ = self.kerf("hash-key", "--new")
        key = re.search(r"key +(\S+)", out)[1]
        self.assertIn(hashlib.sha256(key.encode()).hexdigest(), out)
        hashes = {secret: hashlib.sha256(secret.encode()).hexdigest()
                  for secret in ("alpha", "beta", "gamma")}
        file = self.config(f"""
            [models]
            paths = ["{kerf.MODELS}"]
            [auth.keys.all]
            sha256 = "{hashes['alpha']}"
            [auth.keys.one]
            sha256 = "{hashes['beta']}"
            models = ["classifier"]
            [auth.keys.old]
            sha256 = "{hashes['gamma']}"
            expires = 2020-01-01
            """)
        targets = ["/v2", "/v2/models", "/v2/models/recommender", "/v2/models/recommender/graph",
                   "/v2/nothing", "/", "/metrics", "/v1/models/recommender",
                   "/v1/models/recommender/metadata", "/v2/systemsharedmemory/status"]
        with self.server("--config", file, "--port", "0") as (_, place, _):
            for target in ("/v2/health/live", "/v2/health/ready"):
                self.assertEqual(self.ask(place, target)[0], 200)
            for target in targets + [INFER]:
                body = REQUEST if target == INFER else None
                for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "gamma"},
                                {"Authorization": "Basic YWxwaGE="}, {"X-API-Key": ""},
                                {"Authorization": "Bearer " + hashes["alpha"]}):
                    with self.subTest(target, headers=headers):
                        status, reply, said = self.ask(place, target, body, headers)
                        self.assertEqual(status, 401)
                        self.assertEqual(reply["WWW-Authenticate"], "Bearer")
                        self.assertIn("key", said["error"])
            for headers in ({"Authorization": "Bearer alpha"}, {"X-API-Key": "alpha"}):
                self.assertEqual(self.ask(place, INFER, REQUEST, headers)[0], 200)
            one = {"X-API-Key": "beta"}
            for headers, refused in (({}, 401), ({"X-API-Key": "alpha"}, 403)):
                for call in ("load", "unload", "../../x/load"):
                    target = f"/v2/repository/models/classifier/{call}"
                    self.assertIn(self.ask(place, target, b"{}", headers)[0], (refused, 404, 405))
                    self.assertEqual(self.ask(place, "/v2/models/classifier",
                                              headers={"X-API-Key": "alpha"})[0], 200)
            self.assertEqual(self.ask(place, INFER, REQUEST, one)[0], 403)
            self.assertEqual(self.ask(place, "/v2/models/%72ecommender", headers=one)[0], 403)
            self.assertEqual(self.ask(place, "/v2/models/classifier", headers=one)[0], 200)

    def test_rates(self):
        file = self.config(f"""
            [models]
            paths = ["{RECOMMENDER}"]
            [auth.keys.slow]
            sha256 = "{hashlib.sha256(b'slow').hexdigest()}"
            requests_per_second = 0.01
            """)
        with self.server("--config", file, "--port", "0") as (_, place, _):
            headers = {"X-API-Key": "slow"}
            self.assertEqual(self.ask(place, INFER, REQUEST, headers)[0], 200)
            status, reply, _ = self.ask(place, INFER, REQUEST, headers)
            self.assertEqual(status, 429)
            self.assertIsNotNone(reply["Retry-After"])

    def test_pages_of_other_sites(self):
        file = self.config(f"""
            [models]
            paths = ["{RECOMMENDER}"]
            [auth.keys.all]
            sha256 = "{hashlib.sha256(b'alpha').hexdigest()}"
            [cors]
            origins = ["https://good.example"]
            """)
        with self.server("--config", file, "--port", "0") as (_, place, _):
            good = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
            status, reply, _ = self.ask(place, INFER, headers=good, method="OPTIONS")
            self.assertEqual(status, 204)
            self.assertEqual(reply["Access-Control-Allow-Origin"], "https://good.example")
            self.assertIn("Authorization", reply["Access-Control-Allow-Headers"])
            _, reply, _ = self.ask(place, INFER, REQUEST, {**good, "X-API-Key": "alpha"})
            self.assertEqual(reply["Access-Control-Allow-Origin"], "https://good.example")
            for headers in ({"Origin": "https://bad.example"}, {}):
                _, reply, _ = self.ask(place, INFER, headers=headers, method="OPTIONS")
                self.assertIsNone(reply["Access-Control-Allow-Origin"])

    def test_a_unix_socket(self):
        path = self.scratch / "kerf.sock"
        for _ in range(2):  # what a killed server leaves is taken over
            with self.server(RECOMMENDER, "--address", f"unix:{path}") as (process, _, _):
                connection = UnixConnection(str(path))
                self.assertEqual(self.ask("", INFER, REQUEST, connection=connection)[0], 200)
                err = self.refused("serve", CLASSIFIER, "--address", f"unix:{path}", code=3)
                self.assertIn("cannot take this address", err)
                process.kill()
                process.wait()
            self.assertTrue(path.exists())
        with self.server(RECOMMENDER, "--address", f"unix:{path}") as (process, _, _):
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=60), 0)
        self.assertFalse(path.exists())

    def certificates(self):
        """A CA, a server's and a client's certificate, as NAME.pem and NAME.key."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.scratch, check=True,
                           capture_output=True)
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        for ca in ("ca", "other"):
            openssl("req", "-x509", *new, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj",
                    f"/CN={ca}")
        for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
            openssl("req", "-x509", *new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-CA",
                    f"{ca}.pem", "-CAkey", f"{ca}.key", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")

    def tls(self, client=None, version=None):
        context = ssl.create_default_context(cafile=self.scratch / "ca.pem")
        context.set_alpn_protocols(["http/1.1"])
        if client:
            context.load_cert_chain(self.scratch / f"{client}.pem", self.scratch / f"{client}.key")
        if version:
            context.maximum_version = context.minimum_version = version
        return context

    def test_tls(self):
        self.certificates()
        options = ["--port", "0", "--tls-certificate", self.scratch / "server.pem", "--tls-key",
                   self.scratch / "server.key"]
        with self.server(RECOMMENDER, *options) as (_, place, _):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                connection = http.client.HTTPSConnection(place, timeout=30,
                                                         context=self.tls(version=version))
                for _ in range(3):
                    status, _, said = self.ask(place, INFER, REQUEST, connection=connection)
                    self.assertEqual(status, 200, said)
                self.assertEqual(connection.sock.selected_alpn_protocol(), "http/1.1")
                # More than one record.
                body = REQUEST + b" " * 200_000
                self.assertEqual(self.ask(place, INFER, body, connection=connection)[0], 200)
                connection.close()
            # A reply of more than a socket takes at once.
            picture = {"inputs": [{"name": "Segment", "datatype": "INT32", "shape": [20_000, 1],
                                   "data": [7] * 20_000}],
                       "outputs": [{"name": "Embedding-Segment"}]}
            connection = http.client.HTTPSConnection(place, timeout=30, context=self.tls())
            status, _, said = self.ask(place, INFER, json.dumps(picture).encode(),
                                       connection=connection)
            self.assertEqual(status, 200)
            data = said["outputs"][0]["data"]
            self.assertEqual(data, data[:8] * 20_000)
            connection.close()
            with self.assertRaises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
                self.ask(place, "/v2")  # without TLS
            with contextlib.suppress(ssl.SSLError, ValueError):
                old = self.tls(version=ssl.TLSVersion.TLSv1_1)
                connection = http.client.HTTPSConnection(place, timeout=30, context=old)
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    self.ask(place, "/v2", connection=connection)
            self.assertEqual(self.ask(place, "/v2", connection=http.client.HTTPSConnection(
                place, timeout=30, context=self.tls()))[0], 200)

    def test_clients_may_have_to_show_certificates(self):
        self.certificates()
        file = self.config(f"""
            [models]
            paths = ["{RECOMMENDER}"]
            [tls]
            certificate = "server.pem"
            key = "server.key"
            client_ca = "ca.pem"
            """)
        with self.server("--config", file, "--port", "0") as (_, place, _):
            def status(client):
                connection = http.client.HTTPSConnection(place, timeout=30,
                                                         context=self.tls(client))
                return self.ask(place, "/v2", connection=connection)[0]
            self.assertEqual(status("client"), 200)
            for client in (None, "stranger"):
                with self.assertRaises((OSError, http.client.HTTPException)):
                    status(client)
        err = self.refused("serve", RECOMMENDER, "--tls-certificate", RECOMMENDER, "--tls-key",
                           RECOMMENDER, "--port", "0")
        self.assertIn("recommender.keras: this is not a certificate", err)

    def test_keys_are_asked_for_over_grpc(self):
        self.certificates()
        keys = "\n".join(f"[auth.keys.{name}]\nsha256 = '{hashlib.sha256(name.encode()).hexdigest()}'"
                         f"\n{rest}" for name, rest in (("alpha", ""), ("one", 'models = ["x"]'),
                                                        ("old", "expires = 2020-01-01")))
        file = self.config(f"[models]\npaths = ['{RECOMMENDER}']\n[tls]\n"
                           f"certificate = 'server.pem'\nkey = 'server.key'\n{keys}\n")
        service = "/inference.GRPCInferenceService/"
        with self.server("--config", file, "--port", "0") as (_, _, said):
            port = re.search(r"listening for gRPC on port (\d+)", "".join(said))[1]
            trusted = grpc.ssl_channel_credentials((self.scratch / "ca.pem").read_bytes())

            def code(method, key=None):
                metadata = [("authorization", f"Bearer {key}")] if key else []
                with grpc.secure_channel(f"127.0.0.1:{port}", trusted) as channel:
                    try:
                        channel.unary_unary(method)(b"", metadata=metadata, timeout=30)
                        return grpc.StatusCode.OK
                    except grpc.RpcError as error:
                        return error.code()

            for method in ("ServerMetadata", "ModelInfer", "RepositoryIndex", "RepositoryModelLoad",
                           "SystemSharedMemoryRegister", "Nothing"):
                for key in (None, "wrong", "old"):
                    with self.subTest(method, key=key):
                        self.assertEqual(code(service + method, key),
                                         grpc.StatusCode.UNAUTHENTICATED)
            self.assertEqual(code(service + "ServerReady"), grpc.StatusCode.OK)
            self.assertEqual(code("/grpc.health.v1.Health/Check"), grpc.StatusCode.OK)
            self.assertEqual(code(service + "ServerMetadata", "alpha"), grpc.StatusCode.OK)
            self.assertNotIn(code(service + "ModelInfer", "alpha"),
                             (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED))
            for method, key in (("ModelInfer", "one"), ("RepositoryModelUnload", "alpha")):
                self.assertEqual(code(service + method, key), grpc.StatusCode.PERMISSION_DENIED)
        plain = self.config(file.read_text().replace("certificate =", "#").replace("key = 's", "#"))
        err = self.refused("serve", "--config", plain, "--grpc-port", "0")
        self.assertIn("with TLS only", err)

    def test_a_signal_has_the_configuration_read_again(self):
        head = f'[models]\npaths = ["{RECOMMENDER}"]\n'
        file = self.config(head)
        with self.server("--config", file, "--port", "0", "--no-grpc") as (process, place, said):
            kept = http.client.HTTPConnection(place, timeout=30)
            self.assertEqual(self.ask(place, INFER, REQUEST, connection=kept)[0], 200)
            file.write_text(head + f'[models.more]\npath = "{CLASSIFIER}"\n[auth.keys.k]\n'
                                   f'sha256 = "{hashlib.sha256(b"k").hexdigest()}"\n')
            process.send_signal(signal.SIGHUP)
            self.until(lambda: self.ask(place, INFER, REQUEST, connection=kept)[0] == 401)
            key = {"X-API-Key": "k"}
            self.until(lambda: "more" in self.ask(place, "/v2/models", headers=key)[2]["models"])
            file.write_text("[modls]\n")
            process.send_signal(signal.SIGHUP)
            self.until(lambda: any("did you mean 'models'" in line for line in said))
            self.assertEqual(self.ask(place, INFER, REQUEST, key, connection=kept)[0], 200)

    def test_new_versions_are_served_as_they_appear(self):
        versions = self.scratch / "ranker"

        def put(version):
            partial = self.scratch / "partial"
            partial.mkdir()
            shutil.copy(RECOMMENDER, partial / "model.keras")
            versions.mkdir(exist_ok=True)
            partial.rename(versions / version)

        put("1")
        with self.server(versions, "--port", "0", "--model-control", "poll", "--set",
                         'models.poll_interval="50ms"') as (_, place, said):
            served = lambda: self.ask(place, "/v2/models/ranker")[2].get("versions")
            self.assertEqual(served(), ["1"])
            put("2")
            self.until(lambda: served() == ["2"])
            (versions / "2" / "model.keras").write_bytes(b"garbage")
            self.until(lambda: any("cannot be loaded" in line for line in said))
            index = lambda: self.ask(place, "/v2/repository/index", b"")[2][0]
            self.until(lambda: "model.keras" in index().get("reason", ""))
            self.assertEqual(index()["state"], "READY")
            self.assertEqual(self.ask(place, "/v2/models/ranker/infer", REQUEST)[0], 200)

    def test_systemd_is_told(self):
        path = self.scratch / "notify"
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(told.close)
        told.bind(str(path))
        told.settimeout(60)
        with self.server(RECOMMENDER, "--port", "0",
                         environment={"NOTIFY_SOCKET": str(path)}) as (process, _, _):
            self.assertEqual(told.recv(100), b"READY=1")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(told.recv(100), b"STOPPING=1")
            self.assertEqual(process.wait(timeout=60), 0)

    def test_systemd_may_have_opened_the_socket(self):
        with socket.socket() as opened:
            opened.bind(("127.0.0.1", 0))
            opened.listen()
            port = opened.getsockname()[1]
            start = ('import os, sys\nos.dup2(int(sys.argv[1]), 3)\nos.set_inheritable(3, True)\n'
                     'os.environ["LISTEN_PID"] = str(os.getpid())\nos.environ["LISTEN_FDS"] = "1"\n'
                     'os.execv(sys.argv[2], sys.argv[2:])')
            process = subprocess.Popen(
                ["python3", "-c", start, str(opened.fileno()), kerf.KERF, "serve", RECOMMENDER,
                 "--address", "systemd"], pass_fds=[opened.fileno()], stderr=subprocess.DEVNULL)
            try:
                place = f"127.0.0.1:{port}"
                self.assertEqual(self.ask(place, "/v2/health/live")[0], 200)
                self.until(lambda: self.ask(place, INFER, REQUEST)[0] == 200)
            finally:
                process.kill()
                process.wait()

    def test_a_full_disk_for_logs_and_no_descriptors_left(self):
        with open("/dev/full", "w") as full:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = f"ulimit -n 40; exec {kerf.KERF} serve {RECOMMENDER} --port {port} --no-grpc"
            process = subprocess.Popen(["bash", "-c", command], stderr=full)
            try:
                place = f"127.0.0.1:{port}"

                def live():
                    with contextlib.suppress(OSError):
                        return self.ask(place, "/v2/health/ready")[0] == 200
                    return False

                self.until(live)
                crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
                time.sleep(0.5)
                for one in crowd:
                    one.close()
                self.until(live)
                self.assertEqual(self.ask(place, INFER, REQUEST)[0], 200)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(timeout=60), 0)
            finally:
                process.kill()
                process.wait()


if __name__ == "__main__":
    unittest.main()
