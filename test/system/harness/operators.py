# SPDX-License-Identifier: ISC
"""Operators who do everything that they can, in any order, and clients with more than a statement under way meanwhile."""
import os
import random
import signal
import threading
import time

from . import place, wire

GONE = (wire.Closed, ConnectionError, TimeoutError, OSError)
BROKEN = ["[pgweir]\nlisten_port = none\n", "[pgweir", "[pgweir]\nnosuch = 1\n[databases]\n", "[pgweir]\nauth_type = trust\nauth_fi"]


class Operators:
    """Who do one thing after the other until END. Each leaves things as others may find them: paused, disabled, suspended."""

    def __init__(self, weir, end, seed):
        self.weir, self.end, self.seed, self.lock = weir, end, seed, threading.Lock()
        self.did, self.strange = {}, []
        self.things = [self.pause, self.pause_all, self.suspend, self.disable, self.say("RECONNECT app"), self.reconnect, self.kill,
                       self.kill_client, self.wait_close, self.sizes, self.databases, self.users, self.broken, self.storm, self.rotate,
                       self.look, self.set_something]

    def say(self, command):
        def act(rng):
            self.console(command)
        act.__name__ = command.split()[0].lower()
        return act

    def console(self, command):
        """What an operator sees may be an error, but never one of ours, and never silence."""
        try:
            return self.weir.console(command)
        except wire.ServerError as e:
            if e.sqlstate.startswith("XX"):
                self.strange.append((command, str(e)))
        except TimeoutError:
            self.strange.append((command, "no answer"))
        except GONE:
            pass
        return []

    def run(self, number):
        rng = random.Random(self.seed * 1000 + number)
        while time.monotonic() < self.end:
            thing = rng.choice(self.things)
            thing(rng)
            self.did[thing.__name__] = self.did.get(thing.__name__, 0) + 1
            time.sleep(rng.uniform(0, 0.05))

    def for_a_while(self, rng, begin, end):
        self.console(begin)
        time.sleep(rng.uniform(0, 0.2))
        self.console(end)

    # --- things to do

    def pause(self, rng):
        self.for_a_while(rng, "PAUSE app", "RESUME app")

    def pause_all(self, rng):
        self.for_a_while(rng, "PAUSE", "RESUME")

    def suspend(self, rng):
        self.for_a_while(rng, "SUSPEND", "RESUME")

    def disable(self, rng):
        self.for_a_while(rng, "DISABLE app", "ENABLE app")

    def kill(self, rng):
        if rng.random() < 0.3:
            self.for_a_while(rng, "KILL app", "RESUME app")

    def reconnect(self, rng):
        self.console("RECONNECT")

    def wait_close(self, rng):
        """Ends when all servers of before are gone: it is not waited for."""
        try:
            w = wire.Wire("127.0.0.1", self.weir.port)
            w.login("admin", "pgbouncer")
            w.send(wire.query("RECONNECT app; WAIT_CLOSE app" if rng.random() < 0.5 else "WAIT_CLOSE app"))
            time.sleep(rng.uniform(0, 0.1))
            w.close()
        except (wire.ServerError,) + GONE:
            pass

    def kill_client(self, rng):
        clients = [row["id"] for row in self.console("SHOW CLIENTS") if row["user"] == "app"]
        if clients:
            self.console(f"KILL_CLIENT {rng.choice(clients)}")

    def look(self, rng):
        self.console("SHOW " + rng.choice(["POOLS", "SERVERS", "CLIENTS", "SOCKETS", "FDS", "CONFIG", "STATS", "LISTS", "DATABASES", "USERS",
                                            "ACTIVITY", "PINS", "PREPARED", "LIMITS", "EVENTS", "NODES", "STATE", "MEM"]))

    def set_something(self, rng):
        self.console(f"SET query_wait_timeout = {rng.randrange(20, 40)}")

    def changed(self, change, reload=True):
        with self.lock:
            change()
            self.weir.write()
        if reload:
            self.console("RELOAD")

    def sizes(self, rng):
        self.changed(lambda: self.weir.general.update(default_pool_size=rng.randrange(1, 7), reserve_pool_size=rng.randrange(3),
                                                      server_lifetime=rng.choice([1, 3600]), max_prepared_statements=rng.choice([1, 200])))

    def databases(self, rng):
        name, entry = f"extra{rng.randrange(3)}", {**self.weir.databases["app"], "dbname": "app", "pool_size": rng.randrange(1, 3)}
        self.changed(lambda: self.weir.databases.pop(name, None) or self.weir.databases.update({name: entry}))

    def users(self, rng):
        name = f"more{rng.randrange(3)}"
        self.changed(lambda: self.weir.userlist.pop(name, None) or self.weir.userlist.update({name: "pw"}))

    def broken(self, rng):
        """A file that is being written, or wrong, is refused whole."""
        with self.lock:
            place.replace(self.weir.ini, rng.choice(BROKEN))
            self.hup()
            self.console("RELOAD")
            self.weir.write()
        self.console("RELOAD")

    def hup(self):
        try:
            self.weir.process.send_signal(signal.SIGHUP)
        except (ProcessLookupError, AttributeError):
            pass

    def storm(self, rng):
        with self.lock:
            for _ in range(20):
                self.hup()

    def rotate(self, rng):
        with self.lock:  # SIGHUP ends a process that has just begun
            try:
                os.rename(self.weir.general["logfile"], self.weir.general["logfile"] + ".old")
            except FileNotFoundError:
                pass
            self.hup()

    def take_over(self):
        """By one at a time; the one before must end by itself."""
        with self.lock:
            self.weir.write()
            old = self.weir.take_over()
        old.wait(25)

    def end_all(self):
        for command in ("RESUME", "RESUME app", "ENABLE app", "RESUME"):
            self.console(command)


class Keeper:
    """A client that has more than a statement under way: a cursor, a temporary table, a setting, a prepared statement, a LISTEN.
    What it was promised holds, or it is told, or its connection ends."""

    def __init__(self, weir, number, end, seed):
        self.weir, self.rng, self.end, self.number, self.turns = weir, random.Random(seed * 1000 + 500 + number), end, number, 0

    def run(self):
        while time.monotonic() < self.end:
            try:
                with self.weir.raw(30) as w:
                    w.login(application_name=f"keeper{self.number}")
                    self.keep(w)
            except wire.ServerError as e:
                assert e.sqlstate in ("57P01", "57P03", "40001", "08007", "08006", "53300", "08P01", "25P02"), (str(e), e.detail)
            except TimeoutError as e:
                raise AssertionError("a keeper got no answer") from e
            except GONE:
                pass
        return self.turns

    def keep(self, w):
        word = f"k{self.number}_{self.rng.randrange(10 ** 9)}"
        way = self.rng.randrange(5)
        if way == 0:
            w.query(f"CREATE TEMP TABLE mine AS SELECT '{word}' AS t")
        elif way == 1:
            w.query(f"BEGIN; DECLARE c CURSOR FOR SELECT '{word}' FROM generate_series(1, 100)")
        elif way == 2:
            w.query(f"SET my.word = '{word}'")
        elif way == 4:
            self.listen(w, word)
            return
        else:
            w.send(wire.parse("p", f"SELECT '{word}'"), wire.sync())
            w.finish()
        for _ in range(self.rng.randrange(1, 20)):
            time.sleep(self.rng.uniform(0, 0.03))
            if way == 3:
                w.send(wire.bind("", "p"), wire.execute(), wire.sync())
                got = w.finish()
            else:
                got = w.query(["SELECT t FROM mine", "FETCH 1 FROM c", "SHOW my.word"][way])
            assert got == [[word]], (way, got)
            self.turns += 1
        if way == 1:
            w.query("COMMIT")

    def listen(self, w, word):
        w.query("BEGIN; SELECT 1")
        w.query(f"LISTEN {word}")
        w.query("COMMIT")
        sent = []
        for n in range(self.rng.randrange(1, 20)):
            time.sleep(self.rng.uniform(0, 0.03))
            w.query(f"NOTIFY {word}, '{n}'")
            sent.append((word, str(n)))
            self.turns += 1
        while w.notifications != sent and not any(n["M"] == "notifications may have been missed" for n in w.notices):
            assert w.notifications == sent[:len(w.notifications)], w.notifications
            w.receive()
