"""An HTTP API with the habits of real ones: many kinds of pages, quotas, half answers, credentials that change.

It is a program of its own that answers on loopback. `POST /_control` sets its habits, `GET /_stats` counts what it saw.
It prints its port. What it does is decided by a seed, so that a failure can be had again.
"""

import base64
import gzip
import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.reset({})

    def reset(self, given):
        self.rows = given.get("rows", 0)
        self.shift = given.get("shift", 0)  # rows that are gone from the front
        self.changed = {}  # id -> version
        self.customers = given.get("customers", 7)
        self.habits = given.get("habits", {})
        self.delay = given.get("delay", 0)
        self.auth = given.get("auth", {})
        self.away = given.get("away", "")
        self.epoch = 0
        self.beyond = given.get("beyond", "empty")
        self.form = given.get("form", "%Y-%m-%dT%H:%M:%SZ")  # how it writes times
        self.dice = random.Random(given.get("seed", 1))
        self.troubles = 0
        self.tokens = {}
        self.stats = {"requests": 0, "good": 0, "token_requests": 0}

    def control(self, given):
        if given.get("reset"):
            self.reset(given)
        for name in ("rows", "shift", "customers", "habits", "delay", "auth", "away", "epoch", "beyond", "form"):
            if name in given:
                setattr(self, name, given[name])
        for number in given.get("change", []):
            self.changed[number] = self.changed.get(number, 0) + 1


STATE = State()
TROUBLES_IN_A_ROW_MAX = 3


def stamp(second):
    return time.strftime(STATE.form, time.gmtime(1767225600 + second))


def updated(number):
    version = STATE.changed.get(number, 0)
    # Three share a second; what changed comes behind all others.
    return stamp(number // 3 if not version else 1_000_000 + version * 1000 + number)


def cpf(number):
    return "%03d.%03d.%03d-%02d" % (number % 1000, number * 7 % 1000, number * 13 % 1000, number % 100)


def order(number):
    """Numbers that no float holds, escapes, nulls, nesting."""
    version = STATE.changed.get(number, 0)
    note = "null" if number % 5 == 0 else json.dumps("n\u00b0 %d \"%s\"\n" % (number, "\u00e7" * (number % 4)))
    return (
        '{"id":%d,"customer":%d,"cpf":"%s","amount":%d.%02d00,"big":9007199254740993%03d,"note":%s,'
        '"items":[{"sku":"s%d","n":%d}],"version":%d,"updated_at":"%s"}'
        % (number, number % STATE.customers, cpf(number), number, number % 100, number % 1000, note, number, number, version,
           updated(number))
    )


def numbers(customer=None):
    all_of_them = range(STATE.shift + 1, STATE.rows + 1)
    return [n for n in all_of_them if customer is None or n % STATE.customers == customer]


def listed(chosen):
    return "[" + ",".join(order(n) for n in chosen) + "]"


def opaque(value):
    return base64.b64encode(json.dumps({"after": value, "epoch": STATE.epoch}).encode()).decode()


class Answer(Exception):
    def __init__(self, status, body="", headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


def after_cursor(cursor):
    try:
        inner = json.loads(base64.b64decode(cursor))
    except Exception:
        raise Answer(400, '{"error":"bad cursor"}')
    if inner["epoch"] != STATE.epoch:
        raise Answer(410, '{"error":"cursor expired"}')
    return inner["after"]


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer takes 40 ms

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, body):
        try:
            self.answered(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # nobody waits any more

    def answered(self, body):
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        try:
            if url.path == "/_control":
                with STATE.lock:
                    STATE.control(json.loads(body))
                return self.send(200, "{}")
            if url.path == "/_stats":
                return self.send(200, json.dumps(STATE.stats))
            with STATE.lock:
                if url.path == "/oauth/token":
                    found = self.token(dict((n, v[-1]) for n, v in parse_qs(body.decode()).items()))
                    return self.send(200, found)
                STATE.stats["requests"] += 1
                self.credentials(query)
                trouble = self.trouble()
                found, headers = self.route(url.path, query, body)
                STATE.stats["good"] += trouble in (None, "slow")
            time.sleep(STATE.delay)
            self.send(200, found, headers, trouble)
        except Answer as answer:
            self.send(answer.status, answer.body, answer.headers)

    def credentials(self, query):
        auth = STATE.auth
        given = self.headers.get("Authorization", "")
        kind = auth.get("type")
        if kind == "bearer":
            good = given == "Bearer " + auth["token"]
        elif kind == "basic":
            wanted = base64.b64encode(("%s:%s" % (auth["user"], auth["password"])).encode()).decode()
            good = given == "Basic " + wanted
        elif kind == "header":
            good = self.headers.get(auth["name"]) == auth["key"]
        elif kind == "query":
            good = query.pop(auth["name"], None) == auth["key"]
        elif kind == "oauth2":
            token = given[len("Bearer "):]
            good = STATE.tokens.get(token, 0) > 0
            STATE.tokens[token] = STATE.tokens.get(token, 0) - 1
        else:
            good = True
        if not good:
            raise Answer(401, '{"error":"who are you, %s?"}' % given)

    def token(self, form):
        auth = STATE.auth
        STATE.stats["token_requests"] += 1
        basic = base64.b64encode(b"%s:%s" % (auth["id"].encode(), auth["secret"].encode())).decode()
        is_known = (form.get("client_id"), form.get("client_secret")) == (auth["id"], auth["secret"])
        if not is_known and self.headers.get("Authorization") != "Basic " + basic:
            raise Answer(401, '{"error":"invalid_client","error_description":"%s"}' % form.get("client_id"))
        if form.get("grant_type") == "refresh_token" and form.get("refresh_token") != auth.get("refresh"):
            raise Answer(400, '{"error":"invalid_grant"}')
        token = "t-%d" % len(STATE.tokens)
        STATE.tokens[token] = auth.get("uses", 1_000_000)
        given = {"access_token": token, "token_type": "Bearer", "expires_in": auth.get("expires_in", 3600)}
        if auth.get("rotates"):
            # Each refresh token is taken once.
            auth["refresh"] = given["refresh_token"] = "r-%d" % STATE.stats["token_requests"]
        return json.dumps(given)

    def trouble(self):
        """What goes wrong with this answer: never more than a few times in a row, so that patience is rewarded."""
        if STATE.troubles >= TROUBLES_IN_A_ROW_MAX:
            STATE.troubles = 0
            return None
        for name, share in sorted(STATE.habits.items()):
            if STATE.dice.random() < share:
                STATE.troubles += name != "slow"
                if name.isdigit():
                    raise Answer(int(name), '{"error":"later"}', (("Retry-After", "0"),) if name == "429" else ())
                return name
        STATE.troubles = 0
        return None

    def route(self, path, query, body):
        limit = int(query.get("limit", 10))
        parts = path.strip("/").split("/")
        if parts[:1] != ["v1"]:
            raise Answer(404, '{"error":"no such path"}')
        if parts[1:] == ["customers"]:
            page = int(query.get("page", 1))
            found = range(STATE.customers)[(page - 1) * 3:page * 3]
            return json.dumps([{"id": n, "cpf": cpf(n)} for n in found]), ()
        if len(parts) == 4 and parts[1] == "customers" and parts[3] == "orders":
            if not parts[2].isdigit() or int(parts[2]) >= STATE.customers:
                raise Answer(404, '{"error":"no such customer"}')
            return self.next_url(path, query, numbers(int(parts[2])), limit)
        if len(parts) != 3 or parts[1] != "orders":
            raise Answer(404, '{"error":"no such path"}')
        return getattr(self, "of_" + parts[2], self.none)(path, query, body, limit)

    def none(self, *_):
        raise Answer(404, '{"error":"no such path"}')

    def of_page(self, _path, query, _body, limit):
        page = int(query.get("page", 1))
        last = max(1, -(-len(numbers()) // limit))
        if page > last and STATE.beyond == "404":
            raise Answer(404, '{"error":"no such page"}')
        if page > last and STATE.beyond == "clamp":
            page = last
        return listed(numbers()[(page - 1) * limit:page * limit]), ()

    def of_offset(self, _path, query, _body, limit):
        start = int(query.get("offset", 0))
        return '{"items":%s,"total":%d}' % (listed(numbers()[start:start + limit]), len(numbers())), ()

    def of_cursor(self, _path, query, _body, limit):
        after = after_cursor(query["cursor"]) if "cursor" in query else 0
        rest = [n for n in numbers() if n > after]
        more = json.dumps(opaque(rest[limit - 1]) if len(rest) > limit else None)
        return '{"data":%s,"meta":{"next_cursor":%s}}' % (listed(rest[:limit]), more), ()

    def of_circle(self, _path, query, _body, limit):
        """Three pages, of which the last names the second as the next."""
        page = {"": 0, "a": 1, "b": 2}[query.get("cursor", "")]
        more = json.dumps("b" if page == 1 else "a")
        return '{"data":%s,"next":%s}' % (listed(numbers()[page * limit:(page + 1) * limit]), more), ()

    def of_frozen(self, _path, query, _body, limit):
        """A cursor that moves, and records that do not."""
        more = json.dumps(str(int(query.get("cursor", 0)) + 1))
        return '{"data":%s,"next":%s}' % (listed(numbers()[:limit]), more), ()

    def of_telling(self, _path, query, _body, limit):
        """A cursor made of the last record's CPF, as keyset pagination makes it."""
        after = int(query["cursor"].split("|")[1]) if "cursor" in query else 0
        rest = [n for n in numbers() if n > after]
        more = json.dumps("%s|%d" % (cpf(rest[limit - 1]), rest[limit - 1]) if len(rest) > limit else None)
        return '{"data":%s,"next":%s}' % (listed(rest[:limit]), more), ()

    def of_last(self, _path, query, _body, limit):
        rest = [n for n in numbers() if n > int(query.get("starting_after", 0))]
        return '{"data":%s,"has_more":%s}' % (listed(rest[:limit]), json.dumps(len(rest) > limit)), ()

    def of_link(self, path, query, _body, limit):
        rest = [n for n in numbers() if n > int(query.get("after", 0))]
        links = '<%s>; rel="first"' % path
        if len(rest) > limit:
            links += ', <%s>; rel="next"' % self.url(path, query, rest[limit - 1])
        return listed(rest[:limit]), (("Link", links),)

    def of_next(self, path, query, _body, limit):
        return self.next_url(path, query, numbers(), limit)

    def next_url(self, path, query, chosen, limit):
        rest = [n for n in chosen if n > int(query.get("after", 0))]
        more = json.dumps(self.url(path, query, rest[limit - 1]) if len(rest) > limit else None)
        return '{"results":%s,"next":%s}' % (listed(rest[:limit]), more), ()

    def url(self, path, query, after):
        base = STATE.away or "http://" + self.headers["Host"]
        return base + path + "?" + urlencode({**query, "after": after})

    def of_graph(self, _path, _query, body, _limit):
        variables = json.loads(body)["variables"]
        after, limit = variables.get("after"), variables["first"]
        rest = [n for n in numbers() if n > (after_cursor(after) if after else 0)]
        edges = ",".join('{"node":%s}' % order(n) for n in rest[:limit])
        info = {"endCursor": opaque(rest[min(limit, len(rest)) - 1]) if rest else None, "hasNextPage": len(rest) > limit}
        return '{"data":{"orders":{"edges":[%s],"pageInfo":%s}}}' % (edges, json.dumps(info)), ()

    def of_since(self, _path, query, _body, limit):
        """What changed, oldest first; inclusive unless asked otherwise. Times are compared as texts."""
        since = query.get("updated_since", "")
        keyed = sorted((updated(n), n) for n in numbers())
        is_in = (lambda at: at > since) if query.get("exclusive") else (lambda at: at >= since)
        rest = [(at, n) for at, n in keyed if is_in(at)]
        if "cursor" in query:
            rest = [(at, n) for at, n in rest if [at, n] > after_cursor(query["cursor"])]
        more = json.dumps(opaque(list(rest[limit - 1])) if len(rest) > limit else None)
        return '{"data":%s,"next":%s}' % (listed(n for _, n in rest[:limit]), more), ()

    def of_ndjson(self, _path, query, _body, limit):
        start = int(query.get("offset", 0))
        return "".join(order(n) + "\n" for n in numbers()[start:start + limit]), ()

    def of_html(self, *_):
        return "<html>please log in, %s</html>" % cpf(1), ()

    def send(self, status, text, headers=(), trouble=None):
        body = text.encode()
        if trouble == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if trouble == "empty":  # no error, and no word
            body = b""
        is_packed = len(body) > 500 and "gzip" in self.headers.get("Accept-Encoding", "")
        if is_packed:
            body = gzip.compress(body)
        if trouble == "cut":  # a whole answer with half of the JSON
            body = body[:len(body) // 2]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (*headers, *((("Content-Encoding", "gzip"),) if is_packed else ())):
            self.send_header(name, value)
        self.end_headers()
        if trouble == "half":
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        if trouble == "slow":
            for at in range(0, len(body), 512):
                self.wfile.write(body[at:at + 512])
                self.wfile.flush()
                time.sleep(0.002)
            return
        if trouble == "stuck":  # longer than anybody waits
            self.wfile.write(body[:1])
            self.wfile.flush()
            time.sleep(3)
            self.close_connection = True
            return
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Api)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    # It ends when whoever started it does, and no longer holds its input open.
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever(poll_interval=0.1)
