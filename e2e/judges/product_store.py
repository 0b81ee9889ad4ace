"""Quintet in the place of Panko's storage and of its application: both are calls over HTTP."""

import datetime
import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import uuid

import psycopg2
from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils
from panko import storage
from panko.storage import models
from webob import Request

LOG = log.getLogger(__name__)

# Who sees everything.
ADMIN = {"X-User-Id": "suite", "X-Project-Id": "suite", "X-Roles": "admin"}
EVERYTHING = ("all_tenants", "eq", "True", "string")
TYPES = {name: number for number, name in models.Trait.type_names.items()}
BETWEEN_HOPS = {"connection", "keep-alive", "transfer-encoding"}


class Product:
    """The product on an engine, empty at first. It can be started again with other settings."""

    def __init__(self, binary, server):
        self.binary, self.server, self.process = binary, server, None
        self.folder = tempfile.mkdtemp()
        self.database = f"suite_{uuid.uuid4().hex}" if server else None
        if server:
            self.on_server(f"CREATE DATABASE {self.database}")

    def on_server(self, statement):
        connection = psycopg2.connect(self.server)
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()

    def start(self, settings):
        self.stop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUINTET_")}
        own = {"QUINTET_GATEWAY__LISTEN": "127.0.0.1:0", "QUINTET_GATEWAY__COMPAT__PANKO": self.address}
        if self.database:
            own["QUINTET_DATABASE_URL"] = urllib.parse.urlsplit(self.server)._replace(path=f"/{self.database}").geturl()
        with open(os.path.join(self.folder, "log"), "a") as to:
            command = [self.binary, "serve", "--target", "gateway,events"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=inherited | own | settings, stdout=subprocess.PIPE, stderr=to, text=True
            )
        is_spoken, _, _ = select.select([self.process.stdout], [], [], 60)
        if not is_spoken or not self.process.stdout.readline().startswith("ready "):
            with open(to.name) as said:
                raise RuntimeError(f"the product did not start: {said.read()}")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def end(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.database:
            self.on_server(f"DROP DATABASE {self.database} WITH (FORCE)")


class Connection:
    """What the tests know of Panko's storage, and its application on it."""

    def __init__(self, binary, server, conf):
        self.binary, self.server, self.conf = binary, server, conf
        self.pipeline, self.product = "panko+noauth", None

    def settings(self):
        """Panko's settings, as ours."""
        settings = {
            "QUINTET_EVENTS__DEFAULT_RETURN_LIMIT": str(self.conf.api.default_api_return_limit),
            "QUINTET_AUTH__MODE": "secure" if self.pipeline == "panko+keystone" else "open",
        }
        # Registered by the middleware, which is not here.
        self.conf.register_opt(cfg.StrOpt("allowed_origin"), group="cors")
        if self.conf.cors.allowed_origin:
            settings["QUINTET_GATEWAY__CORS_ORIGINS"] = json.dumps([self.conf.cors.allowed_origin])
        return settings

    def running(self):
        if self.product is None:
            self.product = Product(self.binary, self.server)
            self.product.start(self.settings())
        return self.product

    def end(self):
        if self.product is not None:
            self.product.end()
            self.product = None

    # The application.

    def ask(self, method, target, headers, body=None):
        """Status, reason, headers and body of an answer."""
        connection = http.client.HTTPConnection(self.running().address, timeout=30)
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        said = (answer.status, answer.reason, answer.getheaders(), answer.read())
        connection.close()
        return said

    def serve(self, environ, start_response):
        request = Request(environ)
        headers = {name: value for name, value in request.headers.items() if value and name != "Host"}
        if request.script_name:
            headers["X-Forwarded-Prefix"] = request.script_name
        target = urllib.parse.quote(request.path_info) + (f"?{request.query_string}" if request.query_string else "")
        status, reason, told, body = self.ask(request.method, target, headers, request.body or None)
        kept = [(name, value) for name, value in told if name.lower() not in BETWEEN_HOPS]
        start_response(f"{status} {reason}", kept)
        return [body]

    # The storage.

    def upgrade(self):
        pass

    def clear(self):
        self.end()

    def get(self, path, filters=(), **parameters):
        asked = [*parameters.items()]
        for one in filters:
            asked += zip(("q.field", "q.op", "q.value", "q.type"), one)
        status, _reason, _headers, body = self.ask("GET", f"/v2/{path}?{urllib.parse.urlencode(asked)}", ADMIN)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body}")
        return json.loads(body)

    def record_events(self, events):
        wire = [
            {
                "message_id": event.message_id,
                "event_type": event.event_type,
                "generated": event.generated.isoformat(),
                "traits": [trait.serialize() for trait in event.traits or []],
                "raw": event.raw,
            }
            for event in events
        ]
        headers = {"Content-Type": "application/json"}
        status, _reason, _headers, body = self.ask("POST", "/v2/events", headers, json.dumps(wire))
        told = json.loads(body)
        if status != 202 or told["invalid"]:
            raise RuntimeError(f"{status} {told}")
        for _ in range(told["duplicate"]):
            LOG.debug("duplicate")

    def get_events(self, wanted):
        filters = [EVERYTHING]
        for name, op in (("start_timestamp", "ge"), ("end_timestamp", "le")):
            if (bound := getattr(wanted, name)) is not None:
                filters.append((name, op, bound.isoformat(), "datetime"))
        for name in ("event_type", "message_id"):
            if (value := getattr(wanted, name)) is not None:
                filters.append((name, "eq", value, "string"))
        for trait in wanted.traits_filter:
            (kind,) = trait.keys() - {"key", "op"}
            filters.append((trait["key"], trait.get("op", "eq"), text(trait[kind]), kind))
        for event in self.get("events", filters, limit=1000):
            generated = datetime.datetime.fromisoformat(event["generated"])
            traits = [read_trait(trait) for trait in event["traits"]]
            yield models.Event(event["message_id"], event["event_type"], generated, traits, event["raw"])

    def get_event_types(self):
        return self.get("event_types")

    def get_trait_types(self, event_type):
        return self.get(f"event_types/{event_type}/traits")

    def get_traits(self, event_type):
        for trait in self.get_trait_types(event_type):
            yield from map(read_trait, self.get(f"event_types/{event_type}/traits/{trait['name']}"))


    def clear_expired_data(self, ttl, _max_count):
        """Starts the product again with the time to live that ends now for the same events, and waits for its work."""
        horizon = timeutils.utcnow() - datetime.timedelta(seconds=ttl)
        # The test's clock stands and ours goes on, so an event of the last second would expire.
        to_live = int((datetime.datetime.utcnow() - horizon).total_seconds()) + 60
        self.running().start({**self.settings(), "QUINTET_EVENTS__EVENT_TIME_TO_LIVE_SECS": str(to_live)})
        until = time.monotonic() + 30
        while any(event.generated < horizon for event in self.get_events(storage.EventFilter())):
            if time.monotonic() > until:
                raise RuntimeError("expired events stay")
            time.sleep(0.05)


def text(value):
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def read_trait(trait):
    dtype = TYPES[trait["type"]]
    return models.Trait(trait["name"], dtype, models.Trait.convert_value(dtype, trait["value"]))
