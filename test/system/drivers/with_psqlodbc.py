# SPDX-License-Identifier: ISC
"""psqlodbc, by pyodbc: statements prepared by name, a savepoint around each in a transaction, cursors of its own."""
import pyodbc
from play import cancelled, play, rows, value


class Driver:
    def __init__(self):
        self.open_ones, self.kept = {}, {}

    def open(self, name, host, port, user, password, dbname, ca):
        tls = "SSLmode=disable" if ca == "-" else f"SSLmode=verify-ca;pqopt={{sslrootcert={ca}}}"
        self.where = f"Driver=PostgreSQL Unicode;Server={host};Port={port};Database={dbname};Uid={user};Pwd={password};{tls}"
        self.open_ones[name] = pyodbc.connect(self.where, autocommit=True)
        self.kept[name] = {}

    def close(self, name):
        del self.kept[name]
        self.open_ones.pop(name).close()

    def _got(self, cursor):
        return rows(cursor.fetchall()) if cursor.description else [str(cursor.rowcount)]

    def _run(self, name, sql, words=()):
        with self.open_ones[name].cursor() as cursor:
            return self._got(cursor.execute(sql.replace("{}", "?"), *map(value, words)))

    def exec(self, name, sql):
        return self._run(name, sql)

    def bind(self, name, sql, *words):
        return self._run(name, sql, words)

    def prep(self, name, sql, *words):
        cursor = self.kept[name].setdefault(sql, self.open_ones[name].cursor())
        return self._got(cursor.execute(sql.replace("{}", "?"), *map(value, words)))

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
            cursor.fast_executemany = True
            cursor.executemany(sql.replace("{}", "?"), [(value(w),) for w in words])
            return [str(cursor.rowcount)]

    def stream(self, name, sql, size):
        self.begin(name)
        with self.open_ones[name].cursor() as cursor:
            cursor.execute(sql)
            found = 0
            while got := cursor.fetchmany(int(size)):
                found += sum(1 + (len(row[0]) if isinstance(row[0], str) else row[0]) for row in got)
        self.commit(name)
        return [str(found)]

    def cancel(self, name, sql):
        with self.open_ones[name].cursor() as cursor, cancelled(cursor.cancel):
            return self._got(cursor.execute(sql))

    def dealloc(self, name):
        self.kept[name] = {}

    def meta(self, name, schema):
        with self.open_ones[name].cursor() as cursor:
            out = rows(row[1:4] for row in cursor.tables(schema=schema))
            out += rows(row[1:10] for row in cursor.columns(schema=schema))
            out += rows(row[1:6] for row in cursor.primaryKeys("parent", schema=schema))
            out += rows(row[1:9] for row in cursor.foreignKeys("parent", schema=schema))
            out += rows(row[1:9] for row in cursor.statistics("parent", schema=schema))
            return out + rows(row[1:5] for row in cursor.procedureColumns(schema=schema))

    def extra(self, name):
        """Isolation as an attribute, several results of one string, and statements after an error in a transaction."""
        c = self.open_ones[name]
        c.set_attr(pyodbc.SQL_ATTR_TXN_ISOLATION, pyodbc.SQL_TXN_SERIALIZABLE)
        self.begin(name)
        out = self.exec(name, "SELECT current_setting('transaction_isolation')")
        try:
            self.bind(name, "SELECT 1 / {}::int", "i:0")
        except pyodbc.Error as e:
            out.append(e.args[0])
        out += self.bind(name, "SELECT {}::int", "i:3")
        self.commit(name)
        c.set_attr(pyodbc.SQL_ATTR_TXN_ISOLATION, pyodbc.SQL_TXN_READ_COMMITTED)
        with c.cursor() as cursor:
            cursor.execute("SELECT 1; VALUES ('a'), ('b'); SELECT 3")
            out += rows(cursor.fetchall())
            while cursor.nextset():
                out += rows(cursor.fetchall())
        fetching = pyodbc.connect(self.where + ";UseDeclareFetch=1;Fetch=100", autocommit=True)
        with fetching.cursor() as cursor, fetching.cursor() as other:
            one = cursor.execute("SELECT i FROM generate_series(1, 1000) i")
            out += [str(sum(a[0] * b[0] for a, b in zip(one, other.execute("SELECT -i FROM generate_series(1, 900) i"))))]
        fetching.close()
        return out + [c.getinfo(pyodbc.SQL_DBMS_VER)]


play(Driver(), lambda e: e.args)
