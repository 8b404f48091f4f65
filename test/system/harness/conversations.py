# SPDX-License-Identifier: ISC
"""Random conversations of several sessions that take turns. Whoever makes one hears the answers as it goes (they come from
PostgreSQL itself), so that at no time more sessions keep a server than a pool has; nobody ever waits for another's lock."""
import random

from . import wire
from .statements import CLEAN, COPIES, Phrases

CODECS = {"LATIN1": "latin1", "WIN1252": "cp1252", "LATIN9": "iso8859-15"}
NAMES = ["s0", "s1", "q0", "q1"]  # those with a q have a parameter
STARTS = [{}, {}, {}, {"application_name": "talker"}, {"options": "-c work_mem=3MB -c DateStyle=SQL"}, {"TimeZone": "Asia/Tokyo"},
          {"client_encoding": "latin1"}, {"search_path": "pg_catalog, public"}, {"extra_float_digits": "2", "my.own": "start"},
          {"options": "--default_transaction_isolation=repeatable\\ read"}, {"DateStyle": "German", "IntervalStyle": "iso_8601"},
          {"bytea_output": "escape", "lock_timeout": "5s"}]


class Speaker:
    """What is known of one session."""

    def __init__(self, index):
        self.index, self.status, self.keeps, self.encoding, self.alive = index, "I", False, "UTF8", False

    def has_server(self):
        return self.alive and (self.keeps or self.status != "I")


class Conversation:
    """say(step) is called for each step and returns (status, client_encoding) of its speaker then, None when it was closed.
    A step is (index, messages); messages is a dict of start-up parameters for a new connection, None to go without a word."""

    def __init__(self, seed, say, sessions=4, servers=2, avoid=()):
        self.dice, self.say, self.servers = random.Random(seed), say, servers
        self.speakers = [Speaker(i) for i in range(sessions)]
        self.phrases = Phrases(self.dice, sessions, avoid)
        self.gid = None

    def hold(self, steps):
        for s in self.speakers:
            self._join(s, {})
        for _ in range(steps):
            self._turn()
        for s in self.speakers:
            if s.status != "I":
                self._tell(s, [wire.query("ROLLBACK")])

    def _turn(self):
        keeping = [s for s in self.speakers if s.has_server()]
        s = self.dice.choice(keeping if len(keeping) >= self.servers else self.speakers)
        if not s.alive or self.dice.random() < 0.02:
            self._join(s, self.dice.choice(STARTS))
        elif s.has_server() and self.dice.random() < (0.5 if len(keeping) >= self.servers else 0.08):
            self._clean(s)
        elif self.gid:
            self._tell(s, [wire.query(f"{self.dice.choice(['COMMIT', 'ROLLBACK'])} PREPARED '{self.gid}'")])
            self.gid = None if s.status == "I" else self.gid
        else:
            self.phrases.speaker(s)
            self._tell(s, self._requests())
            s.keeps = s.keeps or self.phrases.kept
            self.gid = self.phrases.gid

    def _join(self, s, params):
        if s.alive:
            self.say((s.index, None))
        s.status, s.keeps, s.alive = "I", False, True
        self._heard(s, self.say((s.index, params)))

    def _tell(self, s, messages):
        if s.alive:
            self._heard(s, self.say((s.index, tuple(messages))))

    def _heard(self, s, answer):
        if answer is None:
            s.alive, s.keeps, s.status = False, False, "I"
        else:
            s.status, s.encoding = answer

    def _clean(self, s):
        if s.status != "I":
            return self._tell(s, [wire.query(self.dice.choice(["ROLLBACK", "COMMIT", "END", "ABORT"]))])
        for sql in self.dice.choice(CLEAN):
            self._tell(s, [wire.query(sql)] if self.dice.random() < 0.6 else [wire.extended(sql), wire.sync()])
        s.keeps = False

    # --- what is said in one turn

    def _requests(self):
        out = []
        for _ in range(self.dice.choice([1] * 8 + [2, 3])):
            out += self.dice.choices([self._simple, self._several, self._batch, self._copy, self._call], [30, 18, 40, 5, 3])[0]()
        return out

    def _bytes(self, sql):
        return sql.encode(CODECS.get(self.phrases.who.encoding, "utf8"), "replace")

    def _simple(self):
        return [wire.query(self._bytes(self.phrases.statement()))]

    def _several(self):
        parts = [self.phrases.statement(several=True) for _ in range(self.dice.randrange(2, 6))]
        return [wire.query(self._bytes(self.dice.choice(["; ", ";", " ;\n", "; ; "]).join(parts)))]

    def _batch(self):
        out = []
        for _ in range(self.dice.choice([1, 1, 1, 2, 3, 5])):
            out += self.dice.choices([self._whole, self._named, self._cursor, self._odd, self._changed], [40, 30, 15, 10, 5])[0]()
            if self.dice.random() < 0.1:
                out.append(wire.flush())
        return out + [wire.sync()]

    def _formats(self):
        return self.dice.choice([(), (), (), (1,), (0,)])

    def _whole(self):
        if self.dice.random() < 0.6:
            sql, values, types = self.phrases.statement(), (), ()
        else:
            sql, values, types = self.phrases.with_parameters()
        out = [wire.parse("", self._bytes(sql), types)]
        if self.dice.random() < 0.2:
            out.append(wire.describe("S", ""))
        out.append(wire.bind("", "", [self._bytes(v) if isinstance(v, str) else v for v in values], (), self._formats()))
        if self.dice.random() < 0.7:
            out.append(wire.describe("P", ""))
        return out + [wire.execute()]

    def _named(self):
        name = self.dice.choice(NAMES)
        act = self.dice.choice(["parse", "parse", "run", "run", "run", "describe", "close", "all"])
        sql = self.phrases.with_parameter() if name[0] == "q" else self.phrases.statement()
        parse, run = [wire.parse(name, self._bytes(sql))], [self._bind("", name), wire.execute()]
        return {"parse": parse, "run": run, "describe": [wire.describe("S", name)], "close": [wire.close("S", name)],
                "all": [wire.close("S", name), *parse, *run]}[act]

    def _bind(self, portal, name):
        values = [self._bytes(self.phrases.word())] if name[0] == "q" else []
        if self.dice.random() < 0.03:
            values.append("too many")
        return wire.bind(portal, name, values, (), self._formats())

    def _cursor(self):
        """Portals live as long as their transaction: outside of one, to the Sync."""
        portal = self.dice.choice(["p0", "p1"])
        act = self.dice.choice(["open", "open", "go on", "describe", "close", "fetch"])
        rows = [wire.execute(portal, self.dice.choice([0, 1, 3, 10])) for _ in range(self.dice.choice([1, 1, 2, 3]))]
        if act == "open":
            if self.dice.random() < 0.4:
                return [self._bind(portal, self.dice.choice(NAMES)), *rows]
            sql = self.dice.choice(["SELECT g, repeat('g', g) FROM generate_series(1, 20) g", self._bytes(self.phrases.statement(block=False))])
            return [wire.parse("", sql), wire.bind(portal, "", (), (), self._formats()), wire.describe("P", portal), *rows]
        if act == "fetch":
            return [wire.parse("", f"FETCH 2 FROM {portal}"), wire.bind(), wire.execute()]
        return {"go on": rows, "describe": [wire.describe("P", portal)], "close": [wire.close("P", portal)]}[act]

    def _odd(self):
        return self.dice.choice([
            [wire.parse("", "SELECT $1::int"), wire.bind("", "", ["no number"]), wire.execute()], [wire.parse("", "SELEC")],
            [wire.parse("", "SELECT 1; SELECT 2"), wire.bind(), wire.execute()], [wire.parse("", ""), wire.bind(), wire.describe(), wire.execute()],
            [wire.bind(), wire.execute()], [wire.describe("S", "")], [wire.execute("none")], [wire.bind("", "none")], [wire.close("S", "none")],
            [wire.parse("", "SELECT $1 + $2", (23, 20)), wire.describe("S", ""), wire.bind("", "", [b"\0\0\0\7", b"\0" * 7 + b"\2"], (1, 1), (1,)), wire.execute()],
            [wire.parse("", "SELECT $1::int"), wire.bind("", "", [b"\0\0\7"], (1,)), wire.execute()], [wire.bind("", "s0", (), (), (0, 1, 0, 1, 1))],
            [wire.parse("s0", "SELECT 's0'"), wire.parse("s0", "SELECT 's0 again'")], [wire.close("S", ""), wire.close("P", "")],
            [wire.parse("", "SELECT 1"), wire.bind(), wire.execute(), wire.execute()], [wire.bind("", "", [None], (2,))]])

    def _changed(self):
        """A statement on what others alter: whoever hears that it has changed prepares it anew."""
        use = [wire.bind("", "z"), wire.execute()]
        return self.dice.choice([[wire.close("S", "z"), wire.parse("z", "SELECT * FROM altered"), wire.describe("S", "z"), *use],
                                 [*use, wire.sync(), wire.close("S", "z")]])

    def _copy(self):
        sql, lines = self.dice.choice(COPIES)
        sql, data = self.phrases.fill(sql), self.phrases.fill(lines).encode()
        ahead = [wire.query(sql)] if self.dice.random() < 0.6 else [wire.parse("", sql), wire.bind(), wire.execute()]
        end = self.dice.choice([wire.copy_done(), wire.copy_done(), wire.copy_fail("changed my mind")])
        middle = [] if "TO STDOUT" in sql else [wire.copy_data(data[:20]), wire.copy_data(data[20:]), end]
        return ahead + middle + ([] if ahead[0][:1] == b"Q" else [wire.sync()])

    def _call(self):
        number = self.dice.randrange(3).to_bytes(4, "big")
        return [self.dice.choice([wire.function_call(177, number, number), wire.function_call(154, number, b"\0\0\0\0"), wire.function_call(1),
                                  wire.function_call(177, number), wire.function_call(2078, b"TimeZone", b"UTC", b"\0"),
                                  wire.function_call(3036, self.phrases.channel().encode(), b"called")])]
