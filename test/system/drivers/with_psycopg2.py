# SPDX-License-Identifier: ISC
"""psycopg2: parameters are put into the text, so that all goes by the simple protocol."""
import io
import select

import psycopg2
from play import cancelled, lines, play, rows, value


class Driver:
    def __init__(self):
        self.open_ones = {}

    def open(self, name, host, port, user, password, dbname, ca):
        tls = {"sslmode": "disable"} if ca == "-" else {"sslmode": "verify-ca", "sslrootcert": ca}
        c = psycopg2.connect(host=host, port=port, user=user, password=password, dbname=dbname, **tls)
        c.autocommit = True
        self.open_ones[name] = c

    def close(self, name):
        self.open_ones.pop(name).close()

    def exec(self, name, sql):
        with self.open_ones[name].cursor() as cursor:
            cursor.execute(sql)
            return rows(cursor.fetchall()) if cursor.description else [cursor.statusmessage]

    def bind(self, name, sql, *words):
        with self.open_ones[name].cursor() as cursor:
            cursor.execute(sql.replace("%", "%%").replace("{}", "%s"), [value(w) for w in words])
            return rows(cursor.fetchall()) if cursor.description else [cursor.statusmessage]

    def begin(self, name):
        self.open_ones[name].autocommit = False

    def commit(self, name):
        self._end(name, "commit")

    def rollback(self, name):
        self._end(name, "rollback")

    def _end(self, name, how):
        try:
            getattr(self.open_ones[name], how)()
        finally:
            self.open_ones[name].autocommit = True

    def batch(self, name, sql, *words):
        with self.open_ones[name].cursor() as cursor:
            cursor.executemany(sql.replace("{}", "%s"), [(value(w),) for w in words])
            return [str(cursor.rowcount)]

    def copyin(self, name, sql, data):
        with self.open_ones[name].cursor() as cursor:
            cursor.copy_expert(sql, io.StringIO(lines(data)))
            return [str(cursor.rowcount)]

    def copyout(self, name, sql):
        out = io.StringIO()
        with self.open_ones[name].cursor() as cursor:
            cursor.copy_expert(sql, out)
        return out.getvalue().splitlines()

    def stream(self, name, sql, size):
        self.begin(name)
        with self.open_ones[name].cursor("named") as cursor:
            cursor.itersize = int(size)
            cursor.execute(sql)
            found = sum(1 + (len(row[0]) if isinstance(row[0], str) else row[0]) for row in cursor)
        self.commit(name)
        return [str(found)]

    def cancel(self, name, sql):
        with cancelled(self.open_ones[name].cancel):
            return self.exec(name, sql)

    def listen(self, name, channel):
        return self.exec(name, f'LISTEN "{channel}"')

    def wait(self, name):
        c = self.open_ones[name]
        while not c.notifies:
            assert select.select([c], [], [], 10)[0], "no notification"
            c.poll()
        got = c.notifies.pop(0)
        return [f"{got.channel} {got.payload}"]

    def lob(self, name):
        c = self.open_ones[name]
        self.begin(name)
        large = c.lobject(0, "wb")
        large.write(b"abc" * 50000)
        large.close()
        self.commit(name)
        self.begin(name)
        large = c.lobject(large.oid, "rb")
        large.seek(3)
        got = large.read(149000)
        large.unlink()
        self.commit(name)
        return [f"{len(got)} {got[:6]}"]

    def extra(self, name):
        """Prepared transactions are off on the server: what is said of that, and the state afterwards."""
        c = self.open_ones[name]
        c.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True, autocommit=True)
        out = self.exec(name, "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        self.begin(name)
        out += self.exec(name, "SELECT current_setting('transaction_isolation'), current_setting('transaction_deferrable')")
        self.commit(name)
        c.set_session(isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT")
        c.set_client_encoding("LATIN1")
        out += self.exec(name, "SELECT 'é', length('é'), current_setting('client_encoding')")
        c.reset()
        c.autocommit = True
        return out + self.exec(name, "SHOW client_encoding") + [c.encoding]


play(Driver(), lambda e: (getattr(e, "pgcode", None), getattr(getattr(e, "diag", None), "message_primary", None) or e))
