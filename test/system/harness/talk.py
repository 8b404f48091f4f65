# SPDX-License-Identifier: ISC
"""Random conversations whose every answer is determined: said to PostgreSQL and said through pgweir, they are to read the same."""
import random

from . import wire


class Talk:
    """The same SEED says the same. Turns are sent as they are made; several may be under way at once."""

    def __init__(self, seed, largest):
        self.rng, self.table, self.largest = random.Random(seed), f"talk{seed}", largest
        self.names, self.block = {}, False

    def open(self):
        return [wire.query(f"DROP TABLE IF EXISTS {self.table}; CREATE TABLE {self.table} (i int PRIMARY KEY, t text)")]

    def turn(self):
        """(messages, how many ReadyForQuery they bring)"""
        kind = self.rng.choice([self.simple, self.several, self.batch, self.named, self.portal, self.copy_in, self.copy_out,
                                self.block_of, self.setting, self.call, self.large, self.notice, self.large_in])
        return kind()

    def sizes(self):
        return self.rng.choice([0, 1, 7, 60, 500, 4000, 8191, 17000])

    def simple(self):
        return [wire.query(self.rng.choice([
            "SELECT 1", "", ";", "SELECT repeat('x', %d)" % self.sizes(), "SELECT 1/0", "SELEC", "SELECT NULL, '', 'a'",
            f"SELECT count(*), sum(i) FROM {self.table}", f"INSERT INTO {self.table} VALUES ({self.rng.randrange(50)}, 'v')",
            f"DELETE FROM {self.table} WHERE i < {self.rng.randrange(50)}", f"SELECT * FROM {self.table} ORDER BY i",
            "SELECT g, repeat('r', g) FROM generate_series(1, %d) g" % self.rng.randrange(1, 200)]))], 1

    def several(self):
        parts = [f"SELECT {i}" for i in range(self.rng.randrange(1, 5))]
        parts.insert(self.rng.randrange(len(parts)), self.rng.choice(
            ["SELECT 1/0", "SELECT 'b'", f"UPDATE {self.table} SET t = t || 'u'", f"SELECT t FROM {self.table} ORDER BY i"]))
        return [wire.query("; ".join(parts))], 1

    def batch(self):
        """Several statements to one Sync; some fail, and the rest is skipped."""
        out = []
        for _ in range(self.rng.randrange(1, 6)):
            out.append(wire.extended(*self.rng.choice([
                ("SELECT $1::text", ["z" * self.sizes()]), ("SELECT $1::int", ["no number"]), ("", []), ("SELEC", []),
                (f"INSERT INTO {self.table} VALUES ($1, $2)", [self.rng.randrange(50), "e" * self.sizes()]),
                (f"SELECT i, t FROM {self.table} ORDER BY i", [])])))
            if self.rng.random() < 0.2:
                out.append(wire.flush())
        return out + [wire.sync()], 1

    def named(self):
        name = f"n{self.rng.randrange(4)}"
        act = self.rng.choice(["run", "describe", "close"] + ["parse"] * (not self.block))  # a failed block refuses none that is known
        if act == "parse":
            out = [wire.parse(name, f"SELECT {self.rng.randrange(3)}, $1::text")]
        elif act == "run":
            out = [wire.bind("", name, ["p" * self.sizes()]), wire.execute()]
        else:
            out = [wire.describe("S", name) if act == "describe" else wire.close("S", name)]
        return out + [wire.sync()], 1

    def portal(self):
        rows = self.rng.randrange(1, 40)
        return [wire.parse("", "SELECT g, repeat('q', g * 10) FROM generate_series(1, 60) g"), wire.bind("c"), wire.describe("P", "c"),
                wire.execute("c", rows), wire.execute("c", rows), wire.flush(), wire.execute("c"), wire.close("P", "c"), wire.sync()], 1

    def copy_in(self):
        at = self.rng.randrange(50)
        lines = b"".join(b"%d\t%s\n" % (i, b"c" * self.sizes()) for i in range(at, at + self.rng.randrange(1, 20)))
        out, step = [wire.query(f"COPY {self.table} FROM STDIN")], self.rng.choice([7, 100, 5000])
        out += [wire.copy_data(lines[i:i + step]) for i in range(0, len(lines), step)]
        return out + [self.rng.choice([wire.copy_done(), wire.copy_done(), wire.copy_fail("no")])], 1

    def large_in(self):
        out = [wire.query(f"COPY {self.table}_none FROM STDIN" if self.rng.random() < 0.3 else f"COPY {self.table} FROM STDIN")]
        return out + [wire.copy_data(b"%d\t%s\n" % (1000 + self.rng.randrange(9), b"C" * 70000)), wire.copy_done()], 1

    def copy_out(self):
        return [wire.query(f"COPY (SELECT g, repeat('o', {self.sizes()}) FROM generate_series(1, 30) g) TO STDOUT")], 1

    def block_of(self):
        if self.block:
            words = self.rng.choice(["COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "COMMIT"])
        else:
            words = self.rng.choice(["BEGIN", "BEGIN", "BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "COMMIT"])
        self.block = words.startswith(("BEGIN", "START", "SAVE", "ROLLBACK TO"))
        if self.rng.random() < 0.5:
            return [wire.query(words)], 1
        return [wire.extended(words), wire.sync()], 1

    def setting(self):
        return [wire.query(self.rng.choice([
            f"SET work_mem = '{self.rng.randrange(64, 9999)}kB'", "SHOW work_mem", "RESET work_mem", "SET datestyle = 'german'",
            "SHOW datestyle", "SET LOCAL extra_float_digits = 0", "RESET ALL", "SET nosuch = 1", "SET my.own = 'x'",
            "SELECT coalesce(current_setting('my.own', true), '')", "SELECT set_config('my.own', 'y', false)"]))], 1

    def call(self):
        return [wire.function_call(1242, b"f")], 1  # boolin would want text: an error is an answer, too

    def large(self):
        return [wire.query(f"SELECT repeat('L', {min(self.largest, self.rng.choice([70000, 200000, 1000000]))})")], 1

    def notice(self):
        return [wire.query("DO $$ BEGIN RAISE NOTICE 'mine %', repeat('n', " + str(self.sizes() % 5000) + "); END $$")], 1


def hold(seed, w, turns, most_ahead=4, largest=1000000):
    """Say the conversation of SEED on the connection W; the list of (turn, kind, body) that came back."""
    talk, rng, got = Talk(seed, largest), random.Random(seed + 1), []
    w.send(*talk.open())
    w.until("Z")
    while turns > 0:
        said = [talk.turn() for _ in range(rng.randrange(1, most_ahead + 1))]
        turns -= len(said)
        data, at = b"".join(b"".join(parts) for parts, _ in said), 0
        while at < len(data):
            n = rng.choice([1, 5, 100, 10000, 10 ** 6])
            w.send(data[at:at + n])
            at += n
            if rng.random() < 0.9:
                w.send(data[at:])
                break
        for parts, ends in said:
            for _ in range(ends):
                got += [(parts[0][:60], m.kind, meaning(m)) for m in w.until("Z", 30) if m.kind not in "SA" and is_mine(m)]
    return got


def is_mine(m):
    return m.kind != "N" or b"mine" in m.body


def meaning(m):
    """What of M the second telling must have, too: not the number of a table, nor a line of PostgreSQL's source."""
    if m.kind == "E":
        return {letter: text for letter, text in m.fields().items() if letter in "SVCMDHP"}
    return m.columns() if m.kind == "T" else m.body
