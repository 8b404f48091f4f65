# SPDX-License-Identifier: ISC
"""psycopg 3: extended protocol, statements prepared from the fifth time on, pipelines."""
import select

import psycopg
from play import cancelled, lines, play, rows, value


class Driver:
    def __init__(self):
        self.open_ones, self.heard = {}, {}

    def open(self, name, host, port, user, password, dbname, ca):
        tls = {"sslmode": "disable"} if ca == "-" else {"sslmode": "verify-ca", "sslrootcert": ca}
        self.open_ones[name] = psycopg.connect(host=host, port=port, user=user, password=password, dbname=dbname,
                                               autocommit=True, **tls)
        self.heard[name] = []
        self.open_ones[name].add_notify_handler(lambda n: self.heard[name].append((n.channel, n.payload)))

    def close(self, name):
        self.open_ones.pop(name).close()

    def _run(self, name, sql, words=None, **how):
        cursor = self.open_ones[name].execute(sql if words is None else sql.replace("%", "%%").replace("{}", "%s"),
                                              words if words is None else [value(w) for w in words], **how)
        return rows(cursor.fetchall()) if cursor.description else [cursor.statusmessage]

    def exec(self, name, sql):
        return self._run(name, sql)

    def bind(self, name, sql, *words):
        return self._run(name, sql, words)

    def prep(self, name, sql, *words):
        return self._run(name, sql, words, prepare=True)

    def binary(self, name, sql, *words):
        return self._run(name, sql, words, binary=True)

    def begin(self, name):
        self.open_ones[name].autocommit = False

    def commit(self, name):
        self._end(name, "commit")

    def rollback(self, name):
        self._end(name, "rollback")

    def _end(self, name, how):
        getattr(self.open_ones[name], how)()
        self.open_ones[name].autocommit = True

    def batch(self, name, sql, *words):
        c = self.open_ones[name]
        with c.pipeline() as pipeline:
            cursors = [c.execute(sql.replace("{}", "%s"), (value(w),)) for w in words]
            pipeline.sync()
            out = [cursor.statusmessage for cursor in cursors]
            with c.transaction():
                cursors = [c.execute(sql.replace("{}", "%s"), (value(w),)) for w in words]
            out += [cursor.statusmessage for cursor in cursors]
        with c.cursor() as cursor:
            cursor.executemany(sql.replace("{}", "%s"), [(value(w),) for w in words])
            return out + [str(cursor.rowcount)]

    def copyin(self, name, sql, data):
        cursor = self.open_ones[name].cursor()
        with cursor.copy(sql) as copy:
            copy.write(lines(data))
        return [cursor.statusmessage]

    def copyout(self, name, sql):
        with self.open_ones[name].cursor().copy(sql) as copy:
            return b"".join(copy).decode().splitlines()

    def stream(self, name, sql, size):
        c = self.open_ones[name]
        out = [str(sum(1 for _ in c.cursor().stream(sql)))]
        with c.transaction(), c.cursor("named") as cursor:
            cursor.itersize = int(size)
            cursor.execute(sql)
            return out + [str(sum(1 + (len(row[0]) if isinstance(row[0], str) else row[0]) for row in cursor))]

    def cancel(self, name, sql):
        with cancelled(self.open_ones[name].cancel):
            return self.exec(name, sql)

    def listen(self, name, channel):
        return self.exec(name, f'LISTEN "{channel}"')

    def wait(self, name):
        while not self.heard[name]:
            assert select.select([self.open_ones[name].fileno()], [], [], 10)[0], "no notification"
            self.open_ones[name].pgconn.consume_input()
            got = self.open_ones[name].pgconn.notifies()
            if got:
                self.heard[name].append((got.relname.decode(), got.extra.decode()))
        return [" ".join(self.heard[name].pop(0))]

    def dealloc(self, name):
        return self.exec(name, "DEALLOCATE ALL")  # which this driver does not notice

    def extra(self, name):
        """Nested transactions, one of them rolled back, and a pipeline with an error in its middle."""
        c = self.open_ones[name]
        out = []
        with c.transaction():
            c.execute("CREATE TEMP TABLE nested (i int) ON COMMIT DROP")
            for i in range(4):
                with c.transaction(force_rollback=i % 2 == 1):
                    c.execute("INSERT INTO nested VALUES (%s)", (i,))
            out += self.exec(name, "SELECT i FROM nested ORDER BY i")
        try:
            with c.pipeline():
                for i in (1, 2, 0, 4):
                    c.execute("SELECT 8 / %s", (i,))
        except psycopg.Error as e:
            out.append(f"{e.sqlstate} {e.diag.message_primary}")
        return out + self.exec(name, "SELECT 'alive'")


play(Driver(), lambda e: (getattr(e, "sqlstate", None), getattr(getattr(e, "diag", None), "message_primary", None) or e))
